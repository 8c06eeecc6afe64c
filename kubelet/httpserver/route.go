// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"time"

	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/text"
)

// Route says what answers requests for a path. GET and HEAD go to Get, POST
// goes to Post; a method whose field is nil is answered by 405.
type Route struct {
	// Path is Required: compared byte by byte with the request's path as it
	// was sent. "/logs/*" stands for every path that begins with "/logs/";
	// the first route that fits is taken.
	Path string
	// ContentType is Optional ["text/plain; charset=utf-8"]: that of a
	// response which does not set its own.
	ContentType string
	Get         Handler // Optional [405]
	Post        Action  // Optional [405]
}

// maxContentType bounds what a route adds to the head of a response.
const maxContentType = 100

func (r *Route) valid() bool {
	return len(r.Path) > 0 && r.Path[0] == '/' && (r.Get != nil || r.Post != nil) &&
		validContentType(r.ContentType)
}

// validContentType tells whether s can be a header field's value, or is empty.
func validContentType(s string) bool {
	return len(s) <= maxContentType && printable(s, ' ') &&
		(s == "" || s[0] != ' ' && s[len(s)-1] != ' ')
}

// matches tells whether the route stands for a path.
func (r *Route) matches(path []byte) bool {
	if n := len(r.Path) - 1; r.Path[n] == '*' {
		return len(path) >= n && text.View(path[:n]) == r.Path[:n]
	}
	return text.View(path) == r.Path
}

// takes tells whether the route answers a method.
func (r *Route) takes(method []byte) bool {
	switch text.View(method) {
	case "GET", "HEAD":
		return r.Get != nil
	case "POST":
		return r.Post != nil
	}
	return false
}

// contentType is that of a response which sets none.
func (r *Route) contentType() string {
	if r.ContentType == "" {
		return "text/plain; charset=utf-8"
	}
	return r.ContentType
}

// allow returns the value of the Allow header.
func (r *Route) allow() string {
	switch {
	case r.Post == nil:
		return "GET, HEAD"
	case r.Get == nil:
		return "POST"
	}
	return "GET, HEAD, POST"
}

// Handler renders the body of a response to GET and HEAD.
type Handler interface {
	// ServePart appends part number part, counted from 0, of the body to w
	// and tells whether more parts follow. Part 0 may set w.Status and
	// w.ContentType, or call WriteStatus.
	//
	// A part that does not fit into what is left of the buffer is taken back
	// and asked for again later, r.State being what it was; so ServePart
	// must have no effects but those on w and r.State. A part that does
	// not fit into an empty buffer ends the response: by 500 if it is part 0,
	// by cutting the connection if not. A part may be empty.
	ServePart(now time.Duration, r *Request, part int, w *Response) (more bool)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(now time.Duration, r *Request, part int, w *Response) (more bool)

// ServePart calls f.
func (f HandlerFunc) ServePart(now time.Duration, r *Request, part int, w *Response) bool {
	return f(now, r, part, w)
}

// Action carries out a POST.
type Action interface {
	// Do is called exactly once for a request that was received whole and
	// let in. It writes the whole response to w, in which there is room for
	// at least the response buffer less 256 bytes.
	Do(now time.Duration, r *Request, w *Response)
}

// ActionFunc makes a function an Action.
type ActionFunc func(now time.Duration, r *Request, w *Response)

// Do calls f.
func (f ActionFunc) Do(now time.Duration, r *Request, w *Response) { f(now, r, w) }

var (
	_ Handler = HandlerFunc(nil)
	_ Action  = ActionFunc(nil)
)

// Request is a request as handlers see it. Its slices are valid until the
// handler returns.
type Request struct {
	Path        []byte // as sent, without the query
	Query       []byte // as sent, without the question mark
	ContentType []byte
	Body        []byte

	// State is the handler's own: zero at part 0, then what the part before
	// left in it. A handler that walks through something keeps its cursor
	// here.
	State [2]uint64

	value [maxQueryValue]byte
}

// maxQueryValue is the longest value of a query parameter, in bytes.
const maxQueryValue = 8

// QueryValue decodes the value of a query parameter, as http1.QueryValue does,
// if it has at most 8 bytes. It is valid until the next call.
func (r *Request) QueryValue(name string) (v []byte, ok bool) {
	return http1.QueryValue(r.value[:0], r.Query, name)
}
