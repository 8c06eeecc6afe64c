// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells on a terminal what long work does, one line a step, with the
// time since it began.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	begun time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, begun: time.Now()}
}

func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%6.1fs  %s\n", time.Since(p.begun).Seconds(), fmt.Sprintf(format, args...))
}
