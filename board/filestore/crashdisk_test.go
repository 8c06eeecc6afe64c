// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package filestore

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"syscall"
)

var errPowerCut = errors.New("power cut")

// crashDisk is a disk in memory that knows what survives a power cut: content
// only after Sync of its file, names only after Sync of the folder. It fails
// at a chosen step with a chosen error; from a power cut on, every step does.
type crashDisk struct {
	names   map[string]*inode // as running programs see it
	durable map[string]*inode // names on the disk
	failAt  int               // counts down; the step at 0 fails
	err     error
	steps   []string
}

// inode is the content of a file. Of what was not synced, a power cut leaves
// a beginning of any length, or zeros.
type inode struct{ content, durable []byte }

func newCrashDisk() *crashDisk {
	return &crashDisk{names: map[string]*inode{}, durable: map[string]*inode{}, failAt: -1}
}

func (d *crashDisk) step(name string) error {
	d.steps = append(d.steps, name)
	if d.failAt > 0 {
		d.failAt--
		return nil
	}
	if d.failAt < 0 {
		return nil
	}
	if d.err != errPowerCut {
		d.failAt = -1
	}
	return d.err
}

func (d *crashDisk) open(path string, flag int) (file, error) {
	if err := d.step("open"); err != nil {
		return nil, err
	}
	node, ok := d.names[path]
	switch {
	case path == folder:
		return &openFile{disk: d}, nil
	case flag&os.O_CREATE != 0 && ok:
		return nil, fs.ErrExist
	case flag&os.O_CREATE != 0:
		node = &inode{}
		d.names[path] = node
	case !ok:
		return nil, fs.ErrNotExist
	}
	return &openFile{disk: d, node: node, Reader: bytes.NewReader(node.content)}, nil
}

func (d *crashDisk) rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *crashDisk) remove(path string) error {
	if err := d.step("remove"); err != nil {
		return err
	}
	if _, ok := d.names[path]; !ok {
		return fs.ErrNotExist
	}
	delete(d.names, path)
	return nil
}

// afterPowerCut calls f with each disk that the power cut can leave: names as
// synced or as last seen, and unsynced content whole, in part, as zeros, or
// lost.
func (d *crashDisk) afterPowerCut(f func(*crashDisk)) {
	for _, names := range []map[string]*inode{d.durable, d.names} {
		for cut := range 4 {
			after := newCrashDisk()
			for path, node := range names {
				content := node.afterPowerCut(cut)
				after.names[path] = &inode{content, content}
			}
			after.durable = maps.Clone(after.names)
			f(after)
		}
	}
}

func (n *inode) afterPowerCut(cut int) []byte {
	unsynced := n.content[len(n.durable):]
	switch cut {
	case 0:
		return n.content
	case 1:
		return n.content[:len(n.durable)+len(unsynced)/2]
	case 2:
		return append(bytes.Clone(n.durable), make([]byte, len(unsynced))...)
	}
	return n.durable
}

type openFile struct {
	*bytes.Reader
	disk *crashDisk
	node *inode // nil: the folder
}

// Write stores the first half if it fails.
func (f *openFile) Write(p []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		half := len(p) / 2
		f.node.content = append(f.node.content, p[:half]...)
		return half, err
	}
	f.node.content = append(f.node.content, p...)
	return len(p), nil
}

func (f *openFile) Sync() error {
	if err := f.disk.step("sync"); err != nil {
		return err
	}
	if f.node == nil {
		f.disk.durable = maps.Clone(f.disk.names)
		return nil
	}
	f.node.durable = bytes.Clone(f.node.content)
	return nil
}

func (f *openFile) Close() error { return f.disk.step("close") }

var errDiskFull error = syscall.ENOSPC
