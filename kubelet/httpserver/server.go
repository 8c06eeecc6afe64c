// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpserver is the mechanism of the kubelet's own port without I/O: a
// fixed number of connections, requests read strictly, authenticated, limited
// and routed, responses rendered part by part, so that a large one leaves
// through a small buffer.
//
// What the port says is not here: routes come from the caller. The package
// opens no socket, reads no clock, takes no memory beyond that given to
// Configure, and speaks no protocol but HTTP/1.0 and 1.1: no upgrades, no
// compression, no ranges, no TLS.
//
// # Driving a Server
//
// The caller holds the sockets and calls one method at a time:
//
//   - Accept when a client connected; the number it returns names the
//     connection from then on;
//   - Receive with bytes that arrived; what it does not take is offered again
//     after the next Sent;
//   - Sent after writing bytes of Pending, for as long as there are any; if
//     nothing is left and Finishing holds, the caller closes the socket and
//     calls Closed;
//   - Closed when the peer closed or the socket failed;
//   - Tick at the time that Wake tells, and Expired after it for the
//     connections to be closed at once. Closed is not called for those.
package httpserver

import (
	"errors"
	"math"
	"time"
)

// Sizes and limits.
const (
	MaxConns   = 5    // connections at once
	MaxRoutes  = 20   // in Config.Routes
	BufferSize = 1024 // a good size for each of a connection's two buffers
	MinBuffer  = 512  // the least size of one; the most is 1 MB
	MemorySize = 2 * MaxConns * BufferSize

	maxBuffer = 1 << 20
	headSpace = 256 // for the head of a response
	maxToken  = 256
)

// Never is the time of Wake when there is nothing to wait for.
const Never = time.Duration(math.MaxInt64)

// Errors of Configure.
var (
	ErrRoutes  = errors.New("httpserver: Routes: bring 1 to MaxRoutes routes")
	ErrRoute   = errors.New("httpserver: Routes: each needs a Path that begins with /, Get or Post, and a ContentType of up to 100 printable ASCII characters")
	ErrMemory  = errors.New("httpserver: Memory: bring MemorySize bytes; each buffer must have MinBuffer bytes to 1 MB")
	ErrTimeout = errors.New("httpserver: RequestTimeout, IdleTimeout: must not be negative")
	ErrRate    = errors.New("httpserver: Rate, Burst: must be 0 for the default, or 1 to 1000000")
	ErrToken   = errors.New("httpserver: Token: use up to 256 printable ASCII characters without space")
)

// Config is what a Server must know. Slices and strings are kept, not copied.
type Config struct {
	Routes []Route // Required: 1 to MaxRoutes
	Memory []byte  // Required: cut into equal request and response buffers; MemorySize gives BufferSize each

	Token          string                        // Optional [none]: bearer token that every request must bring
	RequestTimeout time.Duration                 // Optional [5s]: for receiving a request, and again for its response to be taken
	IdleTimeout    time.Duration                 // Optional [15s]: of a connection kept alive between requests
	Rate           int                           // Optional [20]: requests per second over all connections
	Burst          int                           // Optional [40]: requests at once
	UnixTime       func(now time.Duration) int64 // Optional [no Date header]: seconds since 1970, 0 while not known
}

// Conns is a set of connections.
type Conns uint8

// Has tells whether conn is in the set.
func (set Conns) Has(conn int) bool { return set&(1<<conn) != 0 }

// Server serves the kubelet port. Its zero value must be configured.
type Server struct {
	conns   [MaxConns]conn
	config  Config
	limit   limiter
	request Request  // as the handler that runs now sees it
	body    Response // as the handler that runs now sees it
	expired Conns
	stats   Stats
	counts  [MaxRoutes + 1][NumCodes]uint32 // row 0: Unrouted
}

// Configure makes s ready, without connections and with counters at zero.
func (s *Server) Configure(c Config) error {
	if err := c.validate(); err != nil {
		return err
	}
	c.setDefaults()
	*s = Server{config: c}
	s.limit.configure(c.Rate, c.Burst)
	size := len(c.Memory) / (2 * MaxConns)
	for i := range s.conns {
		s.conns[i].buffers = c.Memory[2*i*size : 2*(i+1)*size]
	}
	return nil
}

func (c *Config) validate() error {
	switch {
	case len(c.Routes) == 0 || len(c.Routes) > MaxRoutes:
		return ErrRoutes
	case len(c.Memory) < 2*MaxConns*MinBuffer || len(c.Memory) > 2*MaxConns*maxBuffer:
		return ErrMemory
	case c.RequestTimeout < 0 || c.IdleTimeout < 0:
		return ErrTimeout
	case c.Rate < 0 || c.Rate > maxRate || c.Burst < 0 || c.Burst > maxRate:
		return ErrRate
	case len(c.Token) > maxToken || !printable(c.Token, '!'):
		return ErrToken
	}
	for i := range c.Routes {
		if !c.Routes[i].valid() {
			return ErrRoute
		}
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 5 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 15 * time.Second
	}
	if c.Rate == 0 {
		c.Rate = 20
	}
	if c.Burst == 0 {
		c.Burst = 40
	}
}

// printable tells whether s has no bytes but those from least to '~'.
func printable(s string, least byte) bool {
	for i := range len(s) {
		if s[i] < least || s[i] > '~' {
			return false
		}
	}
	return true
}

// conn returns a connection that is in use, or nil.
func (s *Server) conn(i int) *conn {
	if i < 0 || i >= MaxConns || s.conns[i].phase == free {
		return nil
	}
	return &s.conns[i]
}

// Pending returns the bytes to be sent on a connection, valid until the next
// call of Receive, Sent, Closed or Tick.
func (s *Server) Pending(conn int) []byte {
	c := s.conn(conn)
	if c == nil {
		return nil
	}
	return c.pending()
}

// Finishing tells whether to close a connection once nothing is pending on it.
// With TCP it is better to shut down sending and to read on for a moment first:
// a close with bytes unread can take the answer away from the peer (RFC 9112,
// section 9.6).
func (s *Server) Finishing(conn int) bool {
	c := s.conn(conn)
	return c != nil && c.phase == sending && !c.keep && !c.more
}

// Expired hands out, once, the connections that must be closed at once, with
// what is pending on them dropped. Their numbers are free again: Closed is
// not called for them.
func (s *Server) Expired() Conns {
	set := s.expired
	s.expired = 0
	return set
}

// Wake returns the time at which Tick must be called, or Never.
func (s *Server) Wake() time.Duration {
	wake := Never
	for i := range s.conns {
		if c := &s.conns[i]; c.phase != free {
			wake = min(wake, c.deadline)
		}
	}
	return wake
}
