// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import (
	"bytes"
	"sync"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/filestore"
)

// FailStorage lets Load and Save fail with err, as broken or full flash does,
// until it is called with nil.
func (b *Board) FailStorage(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.storeErr = err
}

func (b *Board) storageError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.storeErr
}

// Load reads the stored record into p; see board.Storage.
func (b *Board) Load(p []byte) (int, error) {
	if err := b.storageError(); err != nil {
		return 0, err
	}
	return b.store.Load(p)
}

// Save replaces the stored record; see board.Storage.
func (b *Board) Save(p []byte) error {
	if err := b.storageError(); err != nil {
		return err
	}
	if err := b.store.Save(p); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored = len(p)
	return nil
}

// memory keeps the record of a board without a file.
type memory struct {
	mu     sync.Mutex
	record []byte
}

func (m *memory) Load(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.record) > len(p) {
		return 0, filestore.ErrTooLarge
	}
	return copy(p, m.record), nil
}

func (m *memory) Save(p []byte) error {
	if len(p) > board.MaxStored {
		return filestore.ErrTooLarge
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = bytes.Clone(p)
	return nil
}
