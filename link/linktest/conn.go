// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linktest

import (
	"net"
	"sync"
)

// The addresses of the two ends of a Pipe, from the documentation range of
// RFC 5737.
var (
	NearAddr net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}
	FarAddr  net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 6080}
)

// Pipe returns the two ends of a stream that buffers nothing: a Write returns
// when the other end has read all of it.
func Pipe() (near, far net.Conn) {
	a, b := net.Pipe()
	return &end{Conn: a, local: NearAddr, remote: FarAddr}, &end{Conn: b, local: FarAddr, remote: NearAddr}
}

type end struct {
	net.Conn
	local, remote net.Addr
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

// Faults are the ways in which one end of a stream fails. Zero fields are
// faults that do not happen.
type Faults struct {
	CutAfter   int // bytes, both directions together, until the stream breaks with ErrCut
	StallAfter int // bytes, both directions together, until Read and Write hang until Close
	ShortReads int // most bytes that one Read returns
}

// Wrap gives c the faults. A Write that crosses CutAfter or StallAfter
// delivers the bytes before it.
func (f Faults) Wrap(c net.Conn) net.Conn {
	if f == (Faults{}) {
		return c
	}
	return &faulty{Conn: c, faults: f, closed: make(chan struct{})}
}

type faulty struct {
	net.Conn
	faults Faults
	closed chan struct{}
	close  sync.Once

	mu   sync.Mutex
	seen int // bytes, both directions
}

func (c *faulty) Read(p []byte) (int, error) {
	if s := c.faults.ShortReads; s > 0 && s < len(p) {
		p = p[:s]
	}
	return c.pass(p, c.Conn.Read)
}

func (c *faulty) Write(p []byte) (int, error) {
	n, err := c.pass(p, c.Conn.Write)
	for err == nil && n < len(p) {
		var m int
		m, err = c.pass(p[n:], c.Conn.Write)
		n += m
	}
	return n, err
}

// pass moves as much of p as the faults let through.
func (c *faulty) pass(p []byte, move func([]byte) (int, error)) (int, error) {
	left, fail := c.left()
	if left == 0 {
		return 0, fail()
	}
	n, err := move(p[:min(len(p), left)])
	c.mu.Lock()
	c.seen += n
	c.mu.Unlock()
	return n, err
}

// left returns how many bytes may still pass, and what happens after them.
func (c *faulty) left() (int, func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const unlimited = 1 << 30
	left, fail := unlimited, c.stall
	if s := c.faults.StallAfter; s > 0 {
		left = max(s-c.seen, 0)
	}
	if s := c.faults.CutAfter; s > 0 && max(s-c.seen, 0) < left {
		left, fail = max(s-c.seen, 0), c.cut
	}
	return left, fail
}

func (c *faulty) stall() error {
	<-c.closed
	return net.ErrClosed
}

func (c *faulty) cut() error {
	_ = c.Close()
	return ErrCut
}

func (c *faulty) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
