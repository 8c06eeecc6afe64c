// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// stuckTime is after how long without a free place handshakes are stuck. One computes
// for a millisecond.
const stuckTime = 30 * time.Second

// places bound the handshakes that compute at one time to one for each processor.
// Otherwise a thousand at once would all be too slow.
type places struct {
	held chan struct{}

	mu   sync.Mutex
	full time.Time // since when no place is free; zero: one is
}

func newPlaces() *places { return &places{held: make(chan struct{}, runtime.GOMAXPROCS(0))} }

// acquire waits for a place until ctx ends.
func (p *places) acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.held <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) == cap(p.held) {
		p.full = time.Now()
	}
	return p.release, nil
}

func (p *places) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	<-p.held
	p.full = time.Time{}
}

func (p *places) inUse() int { return len(p.held) }

// health returns an error when no place was free for stuckTime.
func (p *places) health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.full.IsZero() && time.Since(p.full) >= stuckTime {
		return fmt.Errorf("no handshake with a board has ended for %v, so no board can link: restart the gateway", time.Since(p.full).Round(time.Second))
	}
	return nil
}
