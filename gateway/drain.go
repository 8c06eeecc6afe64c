// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// How boards leave a gateway that stops.
const (
	// drainInterval is the longest time between the ends of two links: with few boards
	// there is no need to be slow.
	drainInterval = 100 * time.Millisecond
	// returnDelay is how long a board waits before it dials again: until other gateways
	// know that it has left.
	returnDelay = time.Second
	// returnSpread is the least time over which the boards of a gateway come back.
	returnSpread = 10 * time.Second
)

// drain is the state of a gateway that stops.
type drain struct {
	begun  chan struct{}
	once   sync.Once
	spread atomic.Int64 // duration over which boards dial again, beside the time that their ends take
}

func newDrain() *drain { return &drain{begun: make(chan struct{})} }

// begin notes that links will be ended over so much time.
func (d *drain) begin(over time.Duration) {
	d.once.Do(func() {
		d.spread.Store(int64(max(returnSpread-over, 0)))
		close(d.begun)
	})
}

func (d *drain) hasBegun() bool {
	select {
	case <-d.begun:
		return true
	default:
		return false
	}
}

// delay is how long a board whose link is ended shall wait, 0 to leave that to the
// board.
func (d *drain) delay(why noise.Reason) time.Duration {
	if why != noise.EndShutdown {
		return 0
	}
	return returnDelay + time.Duration(rand.Int64N(d.spread.Load()+1))
}

var errDraining = errors.New("this gateway stops: its boards go to another one, or come back when it has restarted")

// Drain prepares the end of ServeLinks: no further board is taken, /readyz fails, and
// the links that are up end one after the other, spread over the given time, less with few of
// them. Each board is asked to wait a while before it dials again, so that not all of them
// come back at the same time. It returns when the links have ended, or ctx.
func (g *Gateway) Drain(ctx context.Context, over time.Duration) {
	g.drain.begin(over)
	all := g.links.all()
	interval := min(over/time.Duration(max(len(all), 1)), drainInterval)
	g.log.Info("Draining links", "links", len(all), "interval", interval)
	for i, l := range all {
		if i > 0 && interval > 0 {
			sleep(ctx, interval)
		}
		if ctx.Err() != nil {
			return
		}
		l.end(noise.EndShutdown)
	}
	for _, l := range all {
		select {
		case <-l.session.Done():
		case <-ctx.Done():
			return
		}
	}
}
