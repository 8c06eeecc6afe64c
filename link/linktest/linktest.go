// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package linktest is a network in memory for tests of what stands on package
// link: a listener with its dialer, and streams that break in the ways real
// ones do. It works in testing/synctest bubbles. It models no loss, no delay
// and no reordering: below a stream those do not show.
package linktest

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/picolet/picolet/link"
)

// Errors of dials and broken streams.
var (
	ErrRefused = errors.New("linktest: connection refused")
	ErrCut     = errors.New("linktest: connection reset by peer")
)

// Network is a network with one listener, which is its net.Listener side, and
// any number of dialers, which is its link.Dialer side. The zero value is
// not usable; see NewNetwork.
type Network struct {
	accepts chan net.Conn
	done    chan struct{}
	close   sync.Once

	mu      sync.Mutex
	refused bool
	silent  bool
	faults  Faults
	dials   int
}

var (
	_ link.Dialer  = (*Network)(nil)
	_ net.Listener = (*Network)(nil)
)

// NewNetwork returns a network that works.
func NewNetwork() *Network {
	return &Network{accepts: make(chan net.Conn), done: make(chan struct{})}
}

// Refuse makes dials fail with ErrRefused, or work again.
func (n *Network) Refuse(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = on
}

// Silence makes dials hang until their context ends, or work again.
func (n *Network) Silence(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = on
}

// SetFaults gives the dialling side of later streams these faults.
func (n *Network) SetFaults(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Dials counts the dials so far, failed ones too.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Dial implements link.Dialer. It returns once the listener accepted.
func (n *Network) Dial(ctx context.Context) (net.Conn, error) {
	refused, silent, faults := n.dialled()
	switch {
	case refused:
		return nil, ErrRefused
	case silent:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	near, far := Pipe()
	select {
	case n.accepts <- far:
		return faults.Wrap(near), nil
	case <-n.done:
		return nil, ErrRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *Network) dialled() (refused, silent bool, f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	return n.refused, n.silent, n.faults
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepts:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener. Streams that are open stay open.
func (n *Network) Close() error {
	n.close.Do(func() { close(n.done) })
	return nil
}

// Addr implements net.Listener.
func (n *Network) Addr() net.Addr { return FarAddr }
