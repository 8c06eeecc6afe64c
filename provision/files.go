// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file to write.
type File struct {
	Path string
	Make func() ([]byte, error) // Required: its content, asked for once, so that a thousand images need not be in memory
}

// ErrDrive: a boot loader's drive takes blocks, not files: those written before
// the last would be lost.
var ErrDrive = errors.New("this is the drive of a board: write the file elsewhere and copy it there")

// Write writes files that only their owner may read: all of them or, if it
// fails, none. Files that are there are replaced with force only; then those
// replaced before a failure stay so. Readers see no part of a file. Directories
// are not made.
func Write(files []File, force bool) (err error) {
	var made []string // to remove if anything fails
	defer func() {
		if err != nil {
			for _, path := range made {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	temporary := make([]string, len(files))
	for i, f := range files {
		temporary[i], err = writeTemporary(f)
		if temporary[i] != "" {
			made = append(made, temporary[i])
		}
		if err != nil {
			return err
		}
	}
	for _, f := range files {
		if force {
			break
		}
		if err := reserve(f.Path); err != nil {
			return err
		}
		made = append(made, f.Path)
	}
	for i, f := range files {
		if err := os.Rename(temporary[i], f.Path); err != nil {
			return err
		}
		made = remove(made, temporary[i])
	}
	return nil
}

func remove(paths []string, path string) []string {
	var rest []string
	for _, p := range paths {
		if p != path {
			rest = append(rest, p)
		}
	}
	return rest
}

// reserve makes sure that nobody else has or gets a file of this name.
func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: replace it by --force, or choose another name", path)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// writeTemporary writes the content beside the file and returns where. The name
// is empty if nothing was made.
func writeTemporary(f File) (string, error) {
	dir := filepath.Dir(f.Path)
	if _, err := os.Stat(filepath.Join(dir, "INFO_UF2.TXT")); err == nil {
		return "", fmt.Errorf("%s: %w", dir, ErrDrive)
	}
	content, err := f.Make()
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(f.Path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	return file.Name(), errors.Join(err, file.Sync(), file.Close())
}
