// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package statedir owns the directory in which a control plane keeps its state: one
// process at a time, files that are whole or absent, and a port that stays the same.
// What the files mean is its callers' business.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	lockName = "lock"
	portName = "port"
	// maxSocketPath is the longest path of a unix socket in bytes that every system
	// takes: sockaddr_un holds 104 bytes on macOS and 108 on Linux, one of them a zero.
	maxSocketPath = 103
)

// Dir is a state directory held by this process.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the directory where it is missing and takes it for this process until
// Close, or until the process ends. It fails when another live process has it.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	// SQLite reads the database's path as a URL.
	if strings.ContainsAny(path, "?#%") {
		return nil, fmt.Errorf("state directory %s: its path may not contain ?, # or %%; choose another one", path)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w; choose one that you may write", err)
	}
	lock, err := lockFile(filepath.Join(path, lockName))
	if err != nil {
		return nil, err
	}
	return &Dir{path: path, lock: lock}, nil
}

func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w; choose one that you may write", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, fmt.Errorf("state directory %s is in use by another control plane%s: stop it, or choose another directory",
			filepath.Dir(name), holder(f))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// holder names the process that wrote the lock file, for a message.
func holder(lock *os.File) string {
	var b [16]byte
	n, _ := lock.ReadAt(b[:], 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// Path returns the path of name inside the directory, or of the directory itself
// when name is empty.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Close gives the directory back.
func (d *Dir) Close() error { return d.lock.Close() }

// Listen opens the TCP port of the control plane. Port 0 means the one of last time
// or, where there is none or somebody else has it now, a free one; what was opened is
// kept for the next time.
func (d *Dir) Listen(address netip.Addr, port int) (net.Listener, error) {
	kept := d.keptPort()
	l, err := listen(address, port, kept)
	if err != nil {
		return nil, err
	}
	opened := l.Addr().(*net.TCPAddr).Port
	if opened == kept {
		return l, nil
	}
	if err := WriteFile(d.Path(portName), []byte(strconv.Itoa(opened)+"\n")); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func listen(address netip.Addr, port, kept int) (net.Listener, error) {
	if port == 0 && kept != 0 {
		if l, err := listenTCP(address, kept); err == nil {
			return l, nil
		}
	}
	l, err := listenTCP(address, port)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %s is in use by another program: stop it, or choose another port (0 for any free one)", port, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this host has no address %s: choose one that it has, such as 127.0.0.1", address)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("port %d of %s needs more rights: choose a port above 1023", port, address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", netip.AddrPortFrom(address, uint16(port)), err)
	}
	return l, nil
}

func listenTCP(address netip.Addr, port int) (net.Listener, error) {
	return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, uint16(port))))
}

// keptPort returns the port of last time, or 0.
func (d *Dir) keptPort() int {
	b, err := os.ReadFile(d.Path(portName))
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// Socket returns a path for a unix socket that only this user can reach, and a
// function that removes what was made for it. It lies in the directory, or in a
// temporary one where the directory's path is too long for a socket.
func (d *Dir) Socket(name string) (string, func(), error) {
	if path := d.Path(name); len(path) <= maxSocketPath {
		return path, func() { os.Remove(path) }, nil
	}
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		short, err := os.MkdirTemp(parent, "picolet-")
		if err != nil {
			continue
		}
		if path := filepath.Join(short, name); len(path) <= maxSocketPath {
			return path, func() { os.RemoveAll(short) }, nil
		}
		os.RemoveAll(short)
	}
	return "", nil, fmt.Errorf("the path of state directory %s is too long for a unix socket (%d bytes), and so is the temporary directory: choose a shorter one",
		d.path, maxSocketPath)
}

// WriteFile replaces a file by data: whoever reads it, even after a crash, sees the
// old content or the new one. Only this user may read it.
func WriteFile(name string, data []byte) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".tmp-") // created with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory survive a crash.
func SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
