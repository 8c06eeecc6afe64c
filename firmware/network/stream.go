// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/network/tcp"
	"github.com/picolet/picolet/kubelet"
)

// slot is a connection: one of the kubelet's streams, or one that lingers.
type slot struct {
	use    use
	conn   tcp.Conn
	to     route // mac is that of a served peer; a dialled one's is asked for
	finish bool  // close when all is sent
	ended  bool  // the peer has sent all

	rest  []byte        // lingering: what is still to be sent
	until time.Duration // lingering: at the latest
}

// use is what a slot is for.
type use uint8

const (
	free    use = iota
	wanted      // the kubelet has asked for a dial that has not begun
	dialled     // towards the gateway
	served      // a client of the kubelet port
)

func (c *slot) used() bool { return c.use >= dialled }

// dialing tells whether a dial was asked for, and has not succeeded.
func (c *slot) dialing() bool { return c.use == dialled && !c.conn.Open() }

func (c *slot) wake() time.Duration {
	if !c.used() {
		return never
	}
	return min(c.conn.Wake(), c.deadline())
}

// deadline is when a slot that lingers is given up.
func (c *slot) deadline() time.Duration {
	if c.until == 0 {
		return never
	}
	return c.until
}

// belongs tells whether a segment is of this connection.
func (c *slot) belongs(in *segment) bool {
	return c.used() && c.to.remote == in.remote && c.to.local == in.local && c.to.peer == in.peer
}

// find returns the stream of a segment, -1 if there is none.
func (n *Network) find(in *segment) int {
	for s := range n.streams {
		if n.streams[s].belongs(in) {
			return s
		}
	}
	return -1
}

// obey does what the kubelet's Output says, in the order of its fields, until
// it asks for nothing more.
func (n *Network) obey(now time.Duration) {
	for again := true; again; {
		out := n.k.Output()
		for s := range n.streams {
			bit := kubelet.Stream(s)
			if out.Close.Has(bit) {
				n.drop(now, s)
			}
			if out.Dial.Has(bit) {
				n.drop(now, s)
				n.streams[s].use = wanted
			}
		}
		again = n.finish(now, out.Finish)
		if out.Reset {
			n.resetAt = min(n.resetAt, now+resetTime)
		}
		n.wake = out.Wake
	}
}

// finish ends the streams that are to be closed and have sent all. It tells
// whether the kubelet got an input.
func (n *Network) finish(now time.Duration, set kubelet.Streams) bool {
	input := false
	for s := range n.streams {
		c, stream := &n.streams[s], kubelet.Stream(s)
		if !c.used() || !c.conn.Open() {
			continue
		}
		c.finish = c.finish || set.Has(stream)
		if (c.finish || c.ended) && len(n.k.Pending(stream)) == 0 {
			n.linger(now, c, nil)
			n.k.Closed(now, stream, nil)
			input = true
		}
	}
	return input
}

// drop closes a stream at once: in order if nothing is on its way, else by a
// reset, as what is missing would never come.
func (n *Network) drop(now time.Duration, s int) {
	c := &n.streams[s]
	switch {
	case !c.used() || !c.conn.Open():
	case c.conn.Quiet():
		n.linger(now, c, nil)
	default:
		n.refuse(now, c)
	}
	*c = slot{}
}

// lose ends a stream that failed, and tells the kubelet.
func (n *Network) lose(now time.Duration, s int, cause error) {
	n.streams[s] = slot{}
	n.k.Closed(now, kubelet.Stream(s), cause)
}

// pollStreams does what time asks of connections, and begins dials.
func (n *Network) pollStreams(now time.Duration) {
	if n.address == [4]byte{} {
		return
	}
	for s := range n.streams {
		if n.streams[s].used() {
			n.tick(now, s)
		}
	}
	for s := range n.streams {
		if n.streams[s].use == wanted {
			n.dial(now, s)
		}
	}
	n.resolver.told()
	n.pollLingers(now)
}

// dial begins a connection to the gateway, as soon as its address is known.
func (n *Network) dial(now time.Duration, s int) {
	a, ok, err := n.resolver.address(now)
	if err != nil {
		n.recheck(now)
		n.dialFailed(now, s, err)
		return
	}
	if !ok {
		return
	}
	c := &n.streams[s]
	*c = slot{use: dialled, to: route{peer: a, local: n.freePort(a), remote: n.gatewayPort}}
	c.conn.Dial(now, uint32(n.random.next()>>32))
}

// freePort is a port that no connection to peer uses.
func (n *Network) freePort(peer [4]byte) uint16 {
	for {
		p := segment{peer: peer, remote: n.gatewayPort, local: n.random.port()}
		if n.find(&p) < 0 && n.findLinger(&p) == nil {
			return p.local
		}
	}
}

// tick lets time pass for a stream.
func (n *Network) tick(now time.Duration, s int) {
	c := &n.streams[s]
	err := c.conn.Tick(now, len(n.k.Pending(kubelet.Stream(s))))
	if ip, ok := n.nextHop(c.to.peer); c.use == dialled && ok {
		if c.conn.Retrying() {
			n.neighbors.suspect(now, ip)
		}
		if c.dialing() && n.neighbors.missing(ip) {
			err = errNoNeighbor
		}
	} else if c.dialing() {
		err = errNoRoute
	}
	if err == nil {
		return
	}
	if c.use == dialled && (err == tcp.ErrNoReply || err == errNoNeighbor || err == errNoRoute) {
		n.dialFailed(now, s, err)
		return
	}
	n.lose(now, s, err)
	n.obey(now)
}

// dialFailed tells that no connection to the gateway can be made. While none
// is open, the way to it is lost.
func (n *Network) dialFailed(now time.Duration, s int, cause error) {
	n.resolver.fail(now, n.streams[s].to.peer)
	n.lose(now, s, cause)
	if !n.connected() {
		n.enter(now, board.NetworkNoGateway, cause)
	}
	n.obey(now)
}

// connected tells whether a stream to the gateway is open.
func (n *Network) connected() bool {
	for s := range n.streams {
		if c := &n.streams[s]; c.use == dialled && c.conn.Open() {
			return true
		}
	}
	return false
}

// receiveStream takes a segment of a stream. The kubelet is told what it has
// sent before it gets the answer.
func (n *Network) receiveStream(now time.Duration, s int, in *segment) {
	c, stream := &n.streams[s], kubelet.Stream(s)
	got := c.conn.Receive(now, in.Segment, in.mss)
	id := c.to
	switch {
	case got.Stray:
		n.refuseStray(in)
		return
	case got.Err == tcp.ErrRefused:
		n.dialFailed(now, s, got.Err)
		return
	case got.Err != nil:
		n.lose(now, s, got.Err)
		n.obey(now)
		return
	}
	n.confirm(now, c)
	if got.Opened {
		n.enter(now, board.NetworkUp, nil)
		n.dhcp.Reuse(now) // a search for another lease ends
		n.k.Opened(now, stream)
		n.obey(now)
	}
	if got.Acked > 0 && c.to == id {
		c.conn.Resume()
		n.k.Sent(now, stream, got.Acked)
		n.obey(now)
	}
	switch {
	case got.Data == 0 && !got.Fin:
	case c.to == id && c.used():
		n.take(now, s, in.payload[got.Skip:got.Skip+got.Data], got.Fin)
	default: // the kubelet is done with it
		if l := n.findLinger(in); l != nil {
			l.conn.Take(got.Data, got.Fin)
		}
	}
}

// confirm notes that the way to a dialled peer is good.
func (n *Network) confirm(now time.Duration, c *slot) {
	if ip, ok := n.nextHop(c.to.peer); ok && c.use == dialled {
		n.neighbors.confirm(now, ip)
	}
}

// take gives the kubelet what arrived on a stream, and then its end.
func (n *Network) take(now time.Duration, s int, data []byte, fin bool) {
	c, stream := &n.streams[s], kubelet.Stream(s)
	took := 0
	if len(data) > 0 {
		took = min(n.k.Receive(now, stream, data), len(data))
	}
	if took < len(data) {
		c.conn.Hold()
	}
	fin = fin && took == len(data)
	c.conn.Take(took, fin)
	c.ended = c.ended || fin
	n.obey(now)
	if fin && c.use == dialled && c.conn.Open() { // the kubelet waits for what will not come
		n.linger(now, c, nil)
		n.k.Closed(now, stream, nil)
		n.obey(now)
	}
}

// nextStream writes a segment of a stream.
func (n *Network) nextStream(now time.Duration, p []byte) int {
	if n.address == [4]byte{} {
		return 0
	}
	for s := range n.streams {
		if c := &n.streams[s]; c.used() {
			if size := n.sendSlot(now, p, c, n.k.Pending(kubelet.Stream(s))); size > 0 {
				return size
			}
		}
	}
	return 0
}

// sendSlot writes the next segment of a connection, if there is one and the
// way is known.
func (n *Network) sendSlot(now time.Duration, p []byte, c *slot, pending []byte) int {
	to := c.to
	if to.mac == [6]byte{} {
		mac, ok := n.hop(now, to.peer)
		if !ok {
			return 0
		}
		to.mac = mac
	}
	seg, data, ok := c.conn.Next(now, pending, c.finish)
	if !ok {
		return 0
	}
	return n.sendSegment(p, to, seg, data)
}

// refuse ends an open connection by a reset.
func (n *Network) refuse(now time.Duration, c *slot) {
	to := c.to
	if to.mac == [6]byte{} {
		mac, ok := n.hop(now, to.peer)
		if !ok {
			return // its end will show by itself
		}
		to.mac = mac
	}
	n.refused.add(refusal{to: to, seg: c.conn.Reset()})
}
