// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testlog is a log for tests, which read it while others write it. It judges
// nothing of what it takes, and is in no program.
package testlog

import (
	"bytes"
	"io"
	"sync"
)

// Buffer keeps what is written. The zero Buffer is empty; its methods may be called by
// several goroutines.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*Buffer)(nil)

// Write implements io.Writer. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
