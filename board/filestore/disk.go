// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package filestore

import (
	"fmt"
	"io"
	"os"
)

// disk is what a Store does to files, so that tests can cut it short.
type disk interface {
	open(path string, flag int) (file, error)
	rename(from, to string) error
	remove(path string) error
}

// file is an open file or folder.
type file interface {
	io.ReadWriteCloser
	Sync() error
}

type osDisk struct{}

// open refuses what is neither a file nor a folder, such as a named pipe that
// would block its reader.
func (osDisk) open(path string, flag int) (file, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }
