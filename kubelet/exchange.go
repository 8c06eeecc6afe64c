// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"errors"
	"time"

	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

// Time-outs towards the API server.
const (
	dialTimeout    = 10 * time.Second
	requestTimeout = 10 * time.Second
)

var errDialTimeout = errors.New("no connection within 10 s")

// exchangeState is where an exchange stands.
type exchangeState uint8

const (
	streamClosed exchangeState = iota
	streamDialing
	streamIdle  // open, no request under way
	streamAsked // a request was queued, its answer is not complete
)

// exchange is one stream towards the API server and the request under way on
// it: at most one, kept alive from one to the next.
type exchange struct {
	stream    Stream
	state     exchangeState
	buf       []byte // requests are built here: the head, then the body
	headSpace int    // bytes of buf kept for the head
	writer    jsonstream.Writer
	out       []byte // what of buf is still to be sent
	reader    http1.ResponseReader
	deadline  time.Duration // of the dial or of the answer
	dial      retry
	bound     bool // the peer knows whose stream this is: see newHead
}

// dialNow asks for the stream to be opened.
func (x *exchange) dialNow(now time.Duration, out *Output) {
	x.state, x.out, x.bound = streamDialing, nil, false
	x.deadline = now + dialTimeout
	out.Dial |= 1 << x.stream
}

// open notes that the stream is open.
func (x *exchange) open() {
	if x.state == streamDialing {
		x.state = streamIdle
	}
}

// drop gives the stream up; the next dial waits.
func (x *exchange) drop(now time.Duration, out *Output, rand *random) {
	if x.state == streamClosed {
		return
	}
	out.Close |= 1 << x.stream
	out.Dial &^= 1 << x.stream
	x.lost(now, rand)
}

// lost notes that the stream is gone; the next dial waits.
func (x *exchange) lost(now time.Duration, rand *random) {
	x.state, x.out = streamClosed, nil
	x.dial.fail(now, quickDelay, quickDelayMax, rand)
}

// overdue tells whether the dial or the answer takes too long.
func (x *exchange) overdue(now time.Duration) bool {
	return (x.state == streamDialing || x.state == streamAsked) && now >= x.deadline
}

// wake is when the exchange needs a tick.
func (x *exchange) wake() time.Duration {
	switch x.state {
	case streamDialing, streamAsked:
		return x.deadline
	case streamClosed:
		return x.dial.at
	}
	return never
}

// body is the writer for the body of the next request.
func (x *exchange) body() *jsonstream.Writer {
	x.writer.Reset(x.buf[x.headSpace:x.headSpace])
	return &x.writer
}

// ask queues a request with what was written to body since the last one. It
// reports whether the request fits the buffer.
func (x *exchange) ask(now time.Duration, head *http1.RequestHead) bool {
	body := x.writer.Bytes()
	head.ContentLength = -1
	if len(body) > 0 {
		head.ContentLength = len(body)
	}
	out, err := head.AppendTo(x.buf[:0:x.headSpace])
	if err != nil || len(body) > 0 && x.writer.Err() != nil {
		return false
	}
	n := copy(x.buf[len(out):], body) // the body moves down to its head
	x.out = x.buf[:len(out)+n]
	x.writer.Reset(nil)
	x.state, x.deadline = streamAsked, now+requestTimeout
	x.reader.Reset(head.Method)
	return true
}

// sent notes that n bytes of the request were written.
func (x *exchange) sent(n int) { x.out = x.out[min(max(n, 0), len(x.out)):] }
