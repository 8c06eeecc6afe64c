// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"net"
	"time"
)

// Pauses after a failed Accept, as when the process has no file descriptor
// left.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// serve hands connections of the kubelet port to the kubelet that runs. While
// the board boots, clients wait in the listener's queue.
func (n *Node) serve(ctx context.Context) {
	pause := minAcceptPause
	for {
		nc, err := n.opts.Listener.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			n.offer(ctx, nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, maxAcceptPause)
		}
	}
}

func (n *Node) offer(ctx context.Context, nc net.Conn) {
	select {
	case n.accepts <- nc:
	case <-ctx.Done():
		_ = nc.Close()
	}
}

// sleep waits for d and tells whether it came to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
