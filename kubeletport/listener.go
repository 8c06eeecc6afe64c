// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// port is the TCP port of a node. As a listener, it gives TLS connections.
type port struct {
	net.Listener
	server *Server
	node   Node
	number int
	certs  *serving
	shown  atomic.Pointer[corev1.Pod] // nil: that of node
	ctx    context.Context            // ends with the port
	cancel context.CancelFunc
	busy   chan struct{} // as large as the requests that the board works on at a time

	mu      sync.Mutex
	closed  bool
	conns   map[*conn]struct{}
	clients map[string]int // connections by IP address
}

func newPort(s *Server, l net.Listener, n Node, certs *serving) *port {
	p := &port{
		Listener: l, server: s, node: n, certs: certs, number: l.Addr().(*net.TCPAddr).Port,
		busy:  make(chan struct{}, s.config.MaxBoardRequests),
		conns: make(map[*conn]struct{}), clients: make(map[string]int),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Accept waits for a connection that is within the limits; others are closed at
// once, before they cost a handshake.
func (p *port) Accept() (net.Conn, error) {
	for {
		nc, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, port: p, client: hostOf(nc)}
		if p.admit(c) {
			return tls.Server(c, p.server.tls), nil
		}
		p.server.metrics.refusedConnections.Inc()
		_ = nc.Close()
	}
}

func hostOf(nc net.Conn) string {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return nc.RemoteAddr().String()
	}
	return host
}

func (p *port) admit(c *conn) bool {
	limits := &p.server.config
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.conns) >= limits.MaxConnectionsPerNode || p.clients[c.client] >= limits.MaxConnectionsPerClient {
		return false
	}
	if p.server.connections.Add(1) > int64(limits.MaxConnections) {
		p.server.connections.Add(-1)
		return false
	}
	p.conns[c] = struct{}{}
	p.clients[c.client]++
	return true
}

func (p *port) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, held := p.conns[c]; !held {
		return
	}
	delete(p.conns, c)
	if p.clients[c.client]--; p.clients[c.client] == 0 {
		delete(p.clients, c.client)
	}
	p.server.connections.Add(-1)
}

// close ends the port and its connections, those too that became streams.
func (p *port) close() {
	p.certs.stop()
	p.cancel()
	_ = p.Listener.Close()
	p.mu.Lock()
	p.closed = true
	conns := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// conn is a connection below TLS. It is counted from Accept to Close.
type conn struct {
	net.Conn
	port   *port
	client string
	loud   atomic.Bool // a refusal was logged

	speaksTLS atomic.Bool // a ClientHello has come
	lingers   atomic.Bool // see Close

	limited atomic.Bool
	left    atomic.Int64 // bytes that may still be read, where limited

	gone atomic.Pointer[context.CancelFunc] // see untilGone
}

var errTooMuchInput = errors.New("the client sent more than a command takes")

// limitReads lets the client send n further bytes at most.
func (c *conn) limitReads(n int64) {
	c.left.Store(n)
	c.limited.Store(true)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.limited.Load() && c.left.Add(int64(-n)) < 0 {
		n, err = 0, errTooMuchInput
	}
	if err != nil && !isTimeout(err) {
		c.endStream()
	}
	return n, err
}

// untilGone returns a context that ends with ctx, or when the client of a stream has
// gone. SPDY and WebSockets read their connection all the time: either they fail, or
// they close it after the client's GOAWAY, which github.com/moby/spdystream 0.5 does
// without telling who serves its streams.
func (c *conn) untilGone(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.gone.Store(&cancel)
	return ctx, cancel
}

func (c *conn) endStream() {
	if cancel := c.gone.Load(); cancel != nil {
		(*cancel)()
	}
}

var errNoTLS = errors.New("the client does not speak TLS")

// Write says nothing to a client that does not speak TLS, to which net/http would
// answer in plain HTTP.
func (c *conn) Write(p []byte) (int, error) {
	if !c.speaksTLS.Load() {
		return 0, errNoTLS
	}
	return c.Conn.Write(p)
}

// lingerTime is how long a stream's client may take to read the end of it.
const lingerTime = time.Second

// Close ends the connection. One that lingers is read on for a while: what is
// unread when a socket closes makes it forget what its client has not read.
func (c *conn) Close() error {
	c.endStream()
	c.port.release(c)
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok || !c.lingers.CompareAndSwap(true, false) || tcp.CloseWrite() != nil {
		return c.Conn.Close()
	}
	_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
	go func() {
		_, _ = io.CopyN(io.Discard, tcp, maxInput)
		_ = tcp.Close()
	}()
	return nil
}

type connKey struct{}

// withConn is the ConnContext of the HTTP server.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
}

func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }

func portOf(ctx context.Context) *port { return connOf(ctx).port }
