// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"time"

	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/text"
)

const (
	maxEmptyParts = 1000 // in a row, before a response that leads nowhere is cut
)

// reply sends s.body as the whole body.
func (s *Server) reply(now time.Duration, c *conn, head *http1.ResponseHead) {
	if !s.body.sendable() {
		s.fail()
	}
	head.ContentLength = s.body.Len()
	s.send(now, c, head, s.body.buf[:s.body.Len()])
}

// fail makes s.body the answer to a request whose handler did not cope.
func (s *Server) fail() {
	WriteStatus(&s.body, 500, Reason(500), "the kubelet could not render the response into its buffer")
}

// serve sends the parts of a route's Handler that fit behind the head. If they
// are all, their length is known; else the body is chunked, or with HTTP/1.0
// ends with the connection. If nothing fits, the head goes alone, once it is
// sure that the part fits into a buffer of its own.
func (s *Server) serve(now time.Duration, c *conn, head *http1.ResponseHead) {
	space := c.space(headSpace)
	n, ok := s.fill(now, c, chunkBody(space))
	if !ok {
		_, ok = s.fill(now, c, chunkBody(c.space(0)))
		n, c.part, c.state, c.more = 0, 0, [2]uint64{}, true
	}
	if !ok || !s.body.sendable() {
		c.more = false
		s.body.reset(c.out()[headSpace:])
		s.fail()
		s.reply(now, c, head)
		return
	}
	frame := chunkBody(space)[:n]
	switch {
	case !c.more:
		head.ContentLength = n
	case c.reader.HTTP10():
		head.ContentLength, c.keep = http1.UntilClose, false
	default:
		head.ContentLength, c.chunked = http1.Chunked, true
		frame = seal(space, n)
	}
	s.send(now, c, head, frame)
}

// space returns the response buffer from an offset on, but for the end that the
// last chunk may need.
func (c *conn) space(from int) []byte {
	end := len(c.out()) - len(http1.LastChunk)
	return c.out()[from:end:end]
}

// chunkBody returns the place for the data of a chunk in space.
func chunkBody(space []byte) []byte {
	body := http1.ChunkBody(space)
	return body[:cap(body)]
}

// seal frames the n bytes in chunkBody(space).
func seal(space []byte, n int) []byte {
	chunk, err := http1.SealChunk(space, n)
	if err != nil {
		return nil // cannot be: the bytes are there
	}
	return chunk
}

// pend makes the first n bytes of the response buffer pending.
func (c *conn) pend(n int) { c.start, c.end = 0, int32(n) }

// fill appends as many of c's next parts to buf as fit, and returns their
// length. It is not ok if it got nowhere.
func (s *Server) fill(now time.Duration, c *conn, buf []byte) (n int, ok bool) {
	route := &s.config.Routes[c.route]
	w := &s.body
	w.reset(buf)
	c.more = true
	for empty := 0; c.more; {
		w.base = w.Len()
		more := s.part(now, c, route)
		if w.Overflowed() {
			w.rewind()
			return w.base, w.base > 0
		}
		c.part, c.state, c.more = c.part+1, s.request.State, more
		if empty++; w.Len() > w.base {
			empty = 0
		}
		if empty > maxEmptyParts {
			return w.base, false
		}
	}
	return w.Len(), true
}

// part asks for c's next part. Only part 0 sets Status and ContentType.
func (s *Server) part(now time.Duration, c *conn, route *Route) (more bool) {
	w := &s.body
	if c.part == 0 {
		w.Status, w.ContentType = 200, route.contentType()
	}
	status, contentType := w.Status, w.ContentType
	s.present(c)
	more = route.Get.ServePart(now, &s.request, int(c.part), w)
	if c.part > 0 {
		w.Status, w.ContentType = status, contentType
	}
	return more
}

// send writes the head of the response, moves frame, which lies behind
// headSpace, up to it, and makes both pending.
func (s *Server) send(now time.Duration, c *conn, head *http1.ResponseHead, frame []byte) {
	head.Status, head.ContentType, head.KeepAlive = s.body.Status, s.body.ContentType, c.keep
	if s.config.UnixTime != nil {
		head.DateUnix = s.config.UnixTime(now)
	}
	s.count(int(c.route), head.Status)
	out, err := head.AppendTo(c.out()[:0:headSpace])
	if err != nil { // cannot be: what goes into a head is bounded
		c.keep, c.more, out, frame = false, false, nil, nil
	}
	if text.View(c.reader.Method()) == "HEAD" {
		c.more, frame = false, nil
	}
	c.pend(len(out) + copy(c.out()[len(out):], frame))
}

// refill renders the next parts into the buffer, all of which has been sent.
func (s *Server) refill(now time.Duration, c *conn) {
	space := c.space(0)
	body := space
	if c.chunked {
		body = chunkBody(space)
	}
	n, ok := s.fill(now, c, body)
	if !ok { // the peer sees that the end is missing
		s.stats.Cut++
		c.keep, c.more, n = false, false, 0
	}
	frame := body[:n]
	if c.chunked {
		frame = seal(space, n)
	}
	end := copy(c.out(), frame)
	if c.chunked && ok && !c.more {
		end += copy(c.out()[end:], http1.LastChunk)
	}
	c.pend(end)
}
