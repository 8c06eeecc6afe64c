// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/picolet/picolet/link/linktest"
)

// boards is a board behind an in-memory network: the same for every node.
type boards struct{ *linktest.Network }

func (b boards) Dial(ctx context.Context, _ string) (net.Conn, error) { return b.Network.Dial(ctx) }

// fakeBoard serves a handler as a board and notes the requests byte by byte.
type fakeBoard struct {
	boards
	mu   sync.Mutex
	seen []string
}

func startBoard(t testing.TB, handler http.HandlerFunc) *fakeBoard {
	t.Helper()
	b := &fakeBoard{boards: boards{linktest.NewNetwork()}}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			nc, err := b.Accept()
			if err != nil {
				return
			}
			served.Go(func() { b.serve(nc, handler) })
		}
	})
	t.Cleanup(func() {
		_ = b.Network.Close()
		served.Wait()
	})
	return b
}

// serve answers one request after the other, until the peer goes.
func (b *fakeBoard) serve(nc net.Conn, handler http.HandlerFunc) {
	c := &tee{Conn: nc}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := c.take()
		b.mu.Lock()
		b.seen = append(b.seen, raw)
		b.mu.Unlock()
		handler(w, r)
	})}
	_ = s.Serve(&oneConn{conn: c, done: make(chan struct{})})
}

// requests are the bytes that the board received since the last call.
func (b *fakeBoard) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

// tee is a connection that remembers what was read from it.
type tee struct {
	net.Conn
	once func() // at its end

	mu  sync.Mutex
	raw bytes.Buffer
}

func (c *tee) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(p[:n])
	return n, err
}

// take returns what was read since the last call.
func (c *tee) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.raw.Reset()
	return c.raw.String()
}

func (c *tee) Close() error {
	defer c.once()
	return c.Conn.Close()
}

// oneConn is a listener with one connection, which ends with it.
type oneConn struct {
	conn *tee
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		c.once = sync.OnceFunc(func() { close(l.done) })
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return linktest.FarAddr }
