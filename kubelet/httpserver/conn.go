// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"time"

	"github.com/picolet/picolet/kubelet/http1"
)

// conn is one connection. It reads a request, then sends its response, then
// reads the next.
type conn struct {
	reader   http1.RequestReader
	buffers  []byte        // one half for the request, one for the response
	deadline time.Duration // when Tick has to look at it

	state      [2]uint64 // Request.State before the next part
	start, end int32     // what is pending, in out
	part       int32     // to be rendered next
	route      int16     // index in Config.Routes, or Unrouted
	phase      phase
	begun      bool // reading: bytes of the request have arrived
	served     bool // a response was sent before
	more       bool // sending: parts follow
	chunked    bool // sending: parts are framed
	keep       bool // sending: another request may follow
}

type phase uint8

const (
	free phase = iota
	reading
	sending
)

func (c *conn) in() []byte  { return c.buffers[:len(c.buffers)/2] }
func (c *conn) out() []byte { return c.buffers[len(c.buffers)/2:] }

// pending returns the bytes to be sent.
func (c *conn) pending() []byte { return c.out()[c.start:c.end] }

// idle tells whether a connection is kept alive between two requests.
func (c *conn) idle() bool { return c.phase == reading && c.served && !c.begun }

// await makes c ready for a request.
func (c *conn) await(deadline time.Duration) {
	c.reader.Reset(c.in())
	c.phase, c.begun, c.deadline = reading, false, deadline
	c.start, c.end = 0, 0
}

// Accept takes a client's connection and returns its number. If all are in use,
// it drops the one that has been idle between requests longest and returns its
// number: the caller closes what it held under that number before. Accept is
// false if all are busy: the caller writes Busy and closes.
func (s *Server) Accept(now time.Duration) (conn int, ok bool) {
	i := s.vacancy()
	if i < 0 {
		s.stats.Refused++
		return 0, false
	}
	if s.conns[i].phase != free {
		s.stats.Evicted++
		s.release(i)
	}
	s.expired &^= 1 << i
	s.stats.Accepted++
	s.stats.InUse++
	s.conns[i].served = false
	s.conns[i].await(now + s.config.RequestTimeout)
	return i, true
}

// vacancy returns a free connection, else the one idle longest, else -1.
func (s *Server) vacancy() int {
	oldest := -1
	for i := range s.conns {
		c := &s.conns[i]
		if c.phase == free {
			return i
		}
		if c.idle() && (oldest < 0 || c.deadline < s.conns[oldest].deadline) {
			oldest = i
		}
	}
	return oldest
}

// release frees a connection that is in use.
func (s *Server) release(i int) {
	c := &s.conns[i]
	c.phase, c.start, c.end, c.more = free, 0, 0, false
	s.stats.InUse--
}

// Closed tells that a connection is gone.
func (s *Server) Closed(now time.Duration, conn int) {
	if s.conn(conn) != nil {
		s.release(conn)
	}
}

// Receive takes bytes that arrived and returns how many of them: fewer than
// len(p) while a response is under way, so that pipelined requests wait. What
// follows the last request of a connection is dropped.
func (s *Server) Receive(now time.Duration, conn int, p []byte) int {
	c := s.conn(conn)
	if c == nil {
		return len(p)
	}
	n := 0
	switch {
	case c.phase == reading && len(p) > 0:
		n = s.read(now, c, p)
	case c.phase == sending && !c.keep:
		n = len(p)
	}
	s.stats.BytesIn += uint64(n)
	return n
}

func (s *Server) read(now time.Duration, c *conn, p []byte) int {
	if c.idle() {
		c.deadline = now + s.config.RequestTimeout
	}
	c.begun = true
	n, done, err := c.reader.Feed(p)
	switch {
	case err != nil:
		s.refuse(now, c, http1.StatusOf(err), explain(err))
	case done:
		s.answer(now, c)
	}
	return n
}

// explain returns the text of an error without the name of its package.
func explain(err error) string {
	const prefix = "http1: "
	if text := err.Error(); len(text) > len(prefix) && text[:len(prefix)] == prefix {
		return text[len(prefix):]
	}
	return err.Error()
}

// Sent tells that the first n bytes of Pending were sent.
func (s *Server) Sent(now time.Duration, conn int, n int) {
	c := s.conn(conn)
	if c == nil || c.phase != sending {
		return
	}
	n = min(max(n, 0), len(c.pending()))
	c.start += int32(n)
	s.stats.BytesOut += uint64(n)
	if c.start == c.end && c.more {
		s.refill(now, c)
	}
	if c.start == c.end && c.keep {
		c.served = true
		c.await(now + s.config.IdleTimeout)
	}
}

// Tick does what time asks for: a request that is late is answered by 408, and
// connections that are idle, or whose peer does not take its response, expire.
func (s *Server) Tick(now time.Duration) {
	for i := range s.conns {
		c := &s.conns[i]
		switch {
		case c.phase == free || now < c.deadline:
		case c.phase == reading && c.begun:
			s.refuse(now, c, 408, "the request did not arrive in time: send it whole, without pauses")
		default:
			s.release(i)
			s.expired |= 1 << i
			s.stats.Expired++
		}
	}
}
