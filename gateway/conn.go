// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// boardListener accepts boards' connections: a bounded number, each of them
// watched over for its framing and for a peer that is gone.
type boardListener struct {
	net.Listener
	gateway    *Gateway
	turnedAway atomic.Int32 // connections that are told so
}

// keepAlive finds a board that lost its power within a minute, so that its
// connections do not hold its node's name much longer than its claim lives. A
// watch on which nothing happens is all that is ever idle for so long: each
// probe wakes a board and costs it two frames.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 5 * time.Second, Count: 3}

// deadAfter is the time after which such a connection has ended.
const deadAfter = 60 * time.Second

// Accept returns the next connection that is within bounds.
func (l *boardListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := l.gateway.newConn(c)
		if !conn.enter() {
			l.turnAway(c)
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetKeepAliveConfig(keepAlive) // a connection without it is only found dead later
		}
		return conn, nil
	}
}

func (g *Gateway) newConn(c net.Conn) *boardConn {
	conn := &boardConn{Conn: c, gateway: g}
	if len(g.named) > 0 {
		node, known := g.named.at(conn.host())
		conn.named, conn.stranger = node, !known
		conn.framer.oldHTTP = known
	}
	return conn
}

// enter counts the connection, if it is within bounds.
func (c *boardConn) enter() bool {
	g := c.gateway
	if g.connections.Load() >= int64(g.config.MaxConnections) || c.stranger && g.strangers.Load() >= maxStrangers {
		return false
	}
	g.connections.Add(1)
	if c.stranger {
		g.strangers.Add(1)
	}
	return true
}

// boardConn is one connection of a board. It is bound to one node at most.
type boardConn struct {
	net.Conn
	gateway *Gateway
	link    *boardLink // whose stream it is; nil: plain HTTP
	named   string     // node of the address that it comes from; empty: addresses do not say
	framer  framer
	loud    atomic.Bool // a refusal was logged: further ones are not
	minimal bool        // answers to writes may be short; of the handlers, which run one at a time
	model   string      // of the board, as its User-Agent names it; of the handlers
	lookAt  time.Time   // when a renewal looks at the Node next; of the handlers too
	close   sync.Once

	stranger bool // comes from an address that no board is named at

	// node is written by the connection's handlers, which run one at a time, and
	// read by Close.
	mu     sync.Mutex
	node   string
	board  board // who bound the connection to node
	closed bool
}

// Read passes on only well-framed requests. After a framing error it does not
// wait for more: net/http reads on where the error follows a part of a line.
func (c *boardConn) Read(p []byte) (int, error) {
	if c.framer.state == broken {
		return 0, errFraming
	}
	n, err := c.Conn.Read(p)
	good, ferr := c.framer.accept(p[:n])
	if ferr != nil {
		c.gateway.refusedFraming(c)
		return good, ferr
	}
	return n, err
}

// Close ends the connection, and with it what it adds to its board's claim.
func (c *boardConn) Close() error {
	c.close.Do(func() {
		c.gateway.connections.Add(-1)
		if c.stranger {
			c.gateway.strangers.Add(-1)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = true
		if c.node != "" {
			c.gateway.claims.letGo(c.node, c)
		}
	})
	return c.Conn.Close()
}

var errBoardGone = errors.New("the board has closed the connection")

// bind makes node the connection's own, unless it has one, by claiming it for b.
func (c *boardConn) bind(node string, b board, hold func(opened bool) *refusal) *refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return malformed("gone", "%v", errBoardGone)
	}
	r := hold(c.node == "")
	if r == nil {
		c.node, c.board = node, b
	}
	return r
}

// bound is the node that the connection is bound to, and the board that did so;
// empty for none. A link's stream is bound from the start.
func (c *boardConn) bound() (node string, b board) {
	if c.link != nil {
		return c.link.node, board{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.node, c.board
}

func (c *boardConn) host() string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}

// overlay is what the gateway sets on the connection's node.
func (c *boardConn) overlay(node string) *overlay {
	if c.link != nil {
		o := c.link.overlay()
		o.model = c.model
		return o
	}
	direct, _ := netip.ParseAddr(c.host()) // of a test's pipe there may be none
	return &overlay{NodeSettings: c.gateway.config.Nodes, node: node, model: c.model, direct: direct}
}

type connKey struct{}

// withConn is the server's ConnContext: handlers find their connection by connOf.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(ctx context.Context) *boardConn {
	c, _ := ctx.Value(connKey{}).(*boardConn)
	return c
}
