// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/link/noise"
)

// places counts handshakes that compute.
type places struct {
	open chan struct{} // closed: there is a place
	held atomic.Int32
	most atomic.Int32
}

func newPlaces(free bool) *places {
	p := &places{open: make(chan struct{})}
	if free {
		close(p.open)
	}
	return p
}

func (p *places) acquire(ctx context.Context) (func(), error) {
	select {
	case <-p.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.most.Store(max(p.most.Load(), p.held.Add(1)))
	return func() { p.held.Add(-1) }, nil
}

// A place to compute is held for no longer than the computation: not while Admit
// decides, and not when the link is up or has failed.
func TestComputeIsReleased(t *testing.T) {
	t.Parallel()
	keys()
	for name, refusal := range map[string]string{"admitted": "", "refused": "not you"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPlaces(true)
				g := testGateway()
				g.Compute = p.acquire
				g.Admit = func(context.Context, Peer) (string, time.Duration) {
					if n := p.held.Load(); n != 0 {
						t.Errorf("%d places are held while Admit decides", n)
					}
					return refusal, 0
				}
				near, far := linktest.Pipe()
				board, gateway := meet(t.Context(), near, far, testBoard(), g)
				if (gateway.err == nil) != (refusal == "") || p.most.Load() != 1 || p.held.Load() != 0 {
					t.Errorf("%v; %d places were held at one time, %d still are", gateway.err, p.most.Load(), p.held.Load())
				}
				if board.err == nil {
					_ = board.session.Close()
					_ = gateway.session.Close()
				}
			})
		})
	}
}

// A handshake that waits for a place ends with its time, or with its caller.
func TestComputeWaitEnds(t *testing.T) {
	t.Parallel()
	keys()
	for name, tt := range map[string]struct {
		limit time.Duration
		err   error
	}{
		"handshake time": {time.Hour, noise.ErrHandshakeTimeout},
		"caller":         {time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPlaces(false)
				g := testGateway()
				g.Compute = p.acquire
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				near, far := linktest.Pipe()
				begin := time.Now()
				_, gateway := meet(ctx, near, far, testBoard(), g)
				if took := time.Since(begin); !errors.Is(gateway.err, tt.err) || took > noise.HandshakeTime+time.Second {
					t.Errorf("after %v: %v, want %v", took, gateway.err, tt.err)
				}
				synctest.Wait()
				if n := p.most.Load(); n != 0 {
					t.Errorf("%d places were held", n)
				}
			})
		})
	}
}

// stubborn is a connection whose Read does not end by Close.
type stubborn struct {
	net.Conn
	let chan struct{}
}

func (c stubborn) Read([]byte) (int, error) {
	<-c.let
	return 0, net.ErrClosed
}

// A connection that hangs cannot hold up who gave it to Accept.
func TestAcceptEndsWithoutItsReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, far := linktest.Pipe()
		c := stubborn{far, make(chan struct{})}
		defer close(c.let)
		begin := time.Now()
		_, err := Accept(t.Context(), c, testGateway())
		if took := time.Since(begin); !errors.Is(err, noise.ErrHandshakeTimeout) || took > noise.HandshakeTime+2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
