// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picolet/picolet/kubelet"
)

// resetTime is how long a reset waits for what is still to be sent.
const resetTime = time.Second

// runner drives one kubelet from a boot to the next. Its methods belong to the
// goroutine of run, except post.
type runner struct {
	node    *Node
	k       Kubelet
	booted  time.Time
	conns   [kubelet.NumStreams]*conn
	due     kubelet.Streams // streams for pump to look at
	wake    time.Duration   // when Tick is due
	resetAt time.Duration   // when to reset at the latest; never: no reset asked
	cursor  uint64          // last record of the kubelet's log that was mirrored

	address netip.Addr // reported last

	events    chan event
	done      chan struct{} // closed at the end
	running   sync.WaitGroup
	lingering atomic.Int32
}

const never = time.Duration(math.MaxInt64)

func newRunner(n *Node, k Kubelet, uptime time.Duration) *runner {
	return &runner{
		node: n, k: k, booted: time.Now().Add(-uptime), resetAt: never,
		events: make(chan event), done: make(chan struct{}),
	}
}

// run returns when ctx ends or the board is to reboot.
func (r *runner) run(ctx context.Context) {
	defer r.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.k.Start(r.now())
	for {
		r.settle()
		if r.resetDue() {
			return
		}
		timer.Reset(min(r.wake, r.resetAt) - r.now())
		select {
		case e := <-r.events:
			r.handle(e)
		case nc := <-r.node.accepts:
			r.accept(nc)
		case <-timer.C:
			r.k.Tick(r.now())
		case <-ctx.Done():
			return
		}
	}
}

// end closes all streams and waits for their goroutines.
func (r *runner) end() {
	close(r.done)
	for s, c := range r.conns {
		if c != nil {
			r.conns[s] = nil
			c.close()
		}
	}
	r.running.Wait()
}

// now is the time since boot.
func (r *runner) now() time.Duration { return time.Since(r.booted) }

// post gives the runner an event and tells whether it will be handled. It is
// called by the goroutines of connections.
func (r *runner) post(e event) bool {
	select {
	case r.events <- e:
		return true
	case <-r.done:
		return false
	}
}

// handle gives the kubelet an event as input.
func (r *runner) handle(e event) {
	c := e.conn
	if r.conns[c.stream] != c {
		discard(e)
		return
	}
	switch e.kind {
	case opened:
		r.open(c, e.nc)
	case received:
		c.unread = c.buf[:e.n]
	case sent:
		r.sent(c, e)
	case closed:
		r.lose(c, e.err)
	}
}

// discard frees what a late event of a closed connection holds.
func discard(e event) {
	switch e.kind {
	case opened:
		_ = e.nc.Close()
	case sent:
		e.conn.written()
	}
}

func (r *runner) open(c *conn, nc net.Conn) {
	c.abort() // of a dial that is over: frees its context
	c.abort = nil
	r.attach(c, nc)
	r.reportAddress(nc)
	r.k.Opened(r.now(), c.stream)
}

// attach makes nc the connection of c and reads from it.
func (r *runner) attach(c *conn, nc net.Conn) {
	c.nc = nc
	r.due |= 1 << c.stream
	r.running.Add(1)
	go c.read(nc)
}

// reportAddress tells the kubelet by which address the board reaches others,
// when that changed.
func (r *runner) reportAddress(nc net.Conn) {
	if r.node.opts.FixedAddress {
		return
	}
	local, ok := nc.LocalAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	ip := local.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() || ip == r.address {
		return
	}
	r.address = ip
	r.k.SetAddress(r.now(), ip.String())
}

func (r *runner) sent(c *conn, e event) {
	c.written()
	r.due |= 1 << c.stream
	if e.n > 0 {
		r.k.Sent(r.now(), c.stream, e.n)
	}
	if e.err != nil {
		r.obey()
		if r.conns[c.stream] == c {
			r.lose(c, e.err)
		}
	}
}

// lose ends a connection that broke.
func (r *runner) lose(c *conn, cause error) {
	if cause == io.EOF {
		cause = nil
	}
	r.drop(c.stream)
	r.k.Closed(r.now(), c.stream, cause)
}

// drop closes the connection of a stream, if it has one.
func (r *runner) drop(s kubelet.Stream) {
	if c := r.conns[s]; c != nil {
		r.conns[s] = nil
		c.close()
	}
}
