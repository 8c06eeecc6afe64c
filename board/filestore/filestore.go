// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package filestore keeps a board's stored record in a file. A power cut or a
// full disk during Save leaves the old record; a file that was damaged
// otherwise is noticed by its checksum and reported, never returned as data.
//
// It keeps one small record for one process, and is no database: it does not
// lock the file against other processes.
package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/picolet/picolet/board"
)

// The file begins with magic, the length of the record and its CRC-32
// (Castagnoli), both little-endian.
const (
	magic      = "picolet\x01"
	headerSize = len(magic) + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of Load and Save.
var (
	// ErrDamaged: the file is not what Save wrote. Delete it to start without
	// a stored configuration.
	ErrDamaged = errors.New("the stored record is damaged; delete the file to start without it")
	// ErrTooLarge: the record has more than board.MaxStored bytes, or does
	// not fit the buffer of Load.
	ErrTooLarge = errors.New("the record is too large")
)

// Store is a board.Storage in a file. It is safe for concurrent use.
type Store struct {
	path string
	disk disk
	mu   sync.Mutex
}

var _ board.Storage = (*Store)(nil)

// New returns a store in the file at path, which need not exist. The folder is
// made if it is missing. Beside the file, path + ".tmp" is used.
func New(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder for stored configuration, choose another path: %w", err)
	}
	return &Store{path: path, disk: osDisk{}}, nil
}

// Load reads the record into p and returns its length, 0 if there is none.
func (s *Store) Load(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := s.disk.open(s.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot load the stored record: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, int64(headerSize+board.MaxStored+1)))
	if err != nil {
		return 0, fmt.Errorf("cannot load the stored record: %w", err)
	}
	record, err := decode(content)
	if err == nil && len(record) > len(p) {
		err = ErrTooLarge
	}
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", s.path, err)
	}
	return copy(p, record), nil
}

// Save replaces the record. If it fails, Load returns the old record; only
// if the very last step fails, the new one.
func (s *Store) Save(p []byte) error {
	if len(p) > board.MaxStored {
		return fmt.Errorf("save %s: %d bytes, at most %d: %w", s.path, len(p), board.MaxStored, ErrTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.replace(encode(p)); err != nil {
		return fmt.Errorf("cannot save the record, the old one is kept: %w", err)
	}
	if err := s.syncFolder(); err != nil {
		return fmt.Errorf("the record is saved, but may be lost at a power cut: %w", err)
	}
	return nil
}

// replace writes a temporary file, makes sure that it is on the disk, and
// renames it over the old one.
func (s *Store) replace(content []byte) error {
	temporary := s.path + ".tmp"
	if err := s.disk.remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := s.write(temporary, content)
	if err == nil {
		err = s.disk.rename(temporary, s.path)
	}
	if err != nil {
		_ = s.disk.remove(temporary) // err says more; the next Save removes it
	}
	return err
}

func (s *Store) write(path string, content []byte) error {
	file, err := s.disk.open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes the renaming last.
func (s *Store) syncFolder() error {
	folder, err := s.disk.open(filepath.Dir(s.path), os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func encode(record []byte) []byte {
	b := make([]byte, 0, headerSize+len(record))
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(record)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(record, castagnoli))
	return append(b, record...)
}

func decode(content []byte) ([]byte, error) {
	if len(content) < headerSize || string(content[:len(magic)]) != magic {
		return nil, ErrDamaged
	}
	length := binary.LittleEndian.Uint32(content[len(magic):])
	sum := binary.LittleEndian.Uint32(content[len(magic)+4:])
	record := content[headerSize:]
	if uint64(length) != uint64(len(record)) || len(record) > board.MaxStored || crc32.Checksum(record, castagnoli) != sum {
		return nil, ErrDamaged
	}
	return record, nil
}
