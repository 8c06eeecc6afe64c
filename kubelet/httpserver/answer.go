// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"time"

	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/text"
)

// challenge is the WWW-Authenticate header of a 401 (RFC 6750 section 3).
const challenge = `Bearer realm="kubelet"`

// answer begins the response to the request that c has read.
func (s *Server) answer(now time.Duration, c *conn) {
	c.keep = c.reader.KeepAlive()
	s.begin(now, c)
	head := http1.ResponseHead{}
	route := s.admit(now, c, &head)
	switch {
	case route == nil:
		s.reply(now, c, &head)
	case text.View(c.reader.Method()) == "POST":
		s.present(c)
		route.Post.Do(now, &s.request, &s.body)
		s.reply(now, c, &head)
	default:
		s.serve(now, c, &head)
	}
}

// refuse answers a request that was not read to its end; where the next one
// would begin is not known, so the connection ends with the answer.
func (s *Server) refuse(now time.Duration, c *conn, code int, message string) {
	c.keep = false
	s.begin(now, c)
	WriteStatus(&s.body, code, Reason(code), message)
	s.reply(now, c, &http1.ResponseHead{})
}

// begin leaves s.body empty and c sending, as yet without a route.
func (s *Server) begin(now time.Duration, c *conn) {
	c.phase, c.deadline = sending, now+s.config.RequestTimeout
	c.route, c.part, c.more, c.chunked = Unrouted, 0, false, false
	c.state = [2]uint64{}
	s.body.reset(c.out()[headSpace:])
	s.body.Status, s.body.ContentType = 200, ""
}

// admit finds the route of a request that may pass. For one that may not, it
// writes the reason to s.body and head and returns nil. Who brings no token
// does not learn which paths exist.
func (s *Server) admit(now time.Duration, c *conn, head *http1.ResponseHead) *Route {
	if !s.limit.allow(now) {
		head.RetryAfter = "1"
		return s.deny(429, "too many requests: wait a second")
	}
	if t := s.config.Token; t != "" && !sameToken(bearer(c.reader.Authorization()), t) {
		head.WWWAuthenticate = challenge
		return s.deny(401, "bring the kubelet's token in the header Authorization: Bearer")
	}
	c.route = s.lookup(c.reader.Path())
	if c.route == Unrouted {
		return s.deny(404, "the kubelet does not serve this path")
	}
	route := &s.config.Routes[c.route]
	if !route.takes(c.reader.Method()) {
		head.Allow = route.allow()
		return s.deny(405, "the path does not take this method: use one of the header Allow")
	}
	s.body.ContentType = route.contentType()
	return route
}

func (s *Server) deny(code int, message string) *Route {
	WriteStatus(&s.body, code, Reason(code), message)
	return nil
}

func (s *Server) lookup(path []byte) int16 {
	for i := range s.config.Routes {
		if s.config.Routes[i].matches(path) {
			return int16(i)
		}
	}
	return Unrouted
}

// present shows c's request to a handler.
func (s *Server) present(c *conn) {
	s.request = Request{
		Path:        c.reader.Path(),
		Query:       c.reader.Query(),
		ContentType: c.reader.ContentType(),
		Body:        c.reader.Body(),
		State:       c.state,
	}
}
