// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"net"

	"github.com/picolet/picolet/kubelet"
)

// settle does what the kubelet asks for after an input, until it asks for
// nothing more at this time.
func (r *runner) settle() {
	r.obey()
	for r.feed() {
	}
	r.mirrorLog()
}

// obey does what the kubelet's Output says, in the order of its fields.
func (r *runner) obey() {
	for again := true; again; {
		o := r.k.Output()
		for s := range kubelet.Stream(kubelet.NumStreams) {
			if o.Close.Has(s) {
				r.drop(s)
			}
		}
		for s := range kubelet.Stream(kubelet.NumStreams) {
			if o.Dial.Has(s) {
				r.dial(s)
			}
		}
		again = r.transmit(o)
		if o.Reset {
			r.resetAt = min(r.resetAt, r.now()+resetTime)
		}
		r.wake = o.Wake
	}
}

// transmit does the part of Output that is about sending. It tells whether the
// kubelet got an input.
func (r *runner) transmit(o kubelet.Output) bool {
	due := r.due | o.Send | o.Finish
	r.due = 0
	input := false
	for s := range kubelet.Stream(kubelet.NumStreams) {
		c := r.conns[s]
		if c == nil || !due.Has(s) {
			continue
		}
		c.finishing = c.finishing || o.Finish.Has(s)
		input = r.pump(c) || input
	}
	return input
}

// pump starts to write what is pending, or finishes the stream if that was
// all. It tells whether the kubelet got an input.
func (r *runner) pump(c *conn) bool {
	if c.nc == nil || c.writing() {
		return false // opened and sent come back here
	}
	if p := r.k.Pending(c.stream); len(p) > 0 {
		c.startWrite(p)
		return false
	}
	if !c.finishing {
		return false
	}
	r.conns[c.stream] = nil
	c.shut()
	r.k.Closed(r.now(), c.stream, nil)
	return true
}

// feed offers the kubelet what arrived, and tells whether it took some. While a
// chunk is being written it waits: an answer must not overtake the report that
// its request was sent.
func (r *runner) feed() bool {
	took := false
	for s, c := range r.conns {
		if c == nil || r.conns[s] != c || c.writing() || len(c.unread) == 0 {
			continue
		}
		n := r.k.Receive(r.now(), c.stream, c.unread)
		c.unread = c.unread[n:]
		took = took || n > 0
		r.obey()
		if len(c.unread) == 0 && r.conns[s] == c {
			c.resume <- struct{}{}
		}
	}
	return took
}

// dial opens a connection for a stream.
func (r *runner) dial(s kubelet.Stream) {
	r.drop(s)
	c := newConn(r, s)
	// Not the context of Run: end aborts dials as it closes streams.
	ctx, abort := context.WithCancel(context.Background())
	c.abort = abort
	r.conns[s] = c
	r.running.Add(1)
	go c.dial(ctx)
}

// accept gives the kubelet a connection of its port, or refuses it.
func (r *runner) accept(nc net.Conn) {
	s, ok := r.k.Accept(r.now())
	if !ok {
		r.running.Add(1)
		go r.refuse(nc)
		return
	}
	r.drop(s)
	c := newConn(r, s)
	r.conns[s] = c
	r.attach(c, nc)
}

// resetDue tells whether the board is to reboot now.
func (r *runner) resetDue() bool {
	return r.resetAt != never && (r.now() >= r.resetAt || r.idle())
}

// idle tells whether nothing is being sent.
func (r *runner) idle() bool {
	for _, c := range r.conns {
		if c != nil && c.nc != nil && (c.writing() || c.finishing) {
			return false
		}
	}
	return true
}
