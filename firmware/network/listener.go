// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	wire "github.com/soypat/lneto/tcp"

	"github.com/picolet/picolet/firmware/network/tcp"
	"github.com/picolet/picolet/kubelet"
)

// Bounds of what strangers can take up.
const (
	maxLinger  = 12 // connections that are closing, or that are told that the kubelet is busy
	lingerTime = 3 * time.Second
	maxRefused = 8 // answers without a connection that wait to be sent

	cookieTick = 8 * time.Second
	cookieLife = 8 // ticks
)

// refusal is a segment that answers for no connection.
type refusal struct {
	to  route
	seg wire.Segment
}

// refusals are the answers that wait to be sent. When they are full, further
// ones are lost: who asked will ask again.
type refusals struct {
	list     [maxRefused]refusal
	first, n uint8
}

func (r *refusals) add(x refusal) {
	if r.n < maxRefused {
		r.list[(r.first+r.n)%maxRefused] = x
		r.n++
	}
}

// nextRefusal writes an answer to a stranger.
func (n *Network) nextRefusal(_ time.Duration, p []byte) int {
	r := &n.refused
	if r.n == 0 || n.address == [4]byte{} {
		return 0
	}
	x := &r.list[r.first]
	r.first = (r.first + 1) % maxRefused
	r.n--
	return n.sendSegment(p, x.to, x.seg, nil)
}

func (in *segment) back() route {
	return route{mac: in.mac, peer: in.peer, local: in.local, remote: in.remote}
}

// refuseStray answers a segment of a connection that is not.
func (n *Network) refuseStray(in *segment) {
	if rst, ok := tcp.Refusal(in.Segment); ok {
		n.refused.add(refusal{to: in.back(), seg: rst})
	}
}

// receiveStranger takes a segment that belongs to no connection. Until its
// third segment, a client of the kubelet port takes up no memory: its SYN is
// answered with a number that proves it (RFC 4987, 3.6).
func (n *Network) receiveStranger(now time.Duration, in *segment) {
	n.passCookies(now)
	flags := in.Flags & (wire.FlagSYN | wire.FlagACK | wire.FlagRST)
	switch {
	case n.port == 0 || in.local != n.port || flags != wire.FlagSYN && flags != wire.FlagACK:
		n.refuseStray(in)
	case flags == wire.FlagSYN:
		iss := n.cookies.MakeSYNCookie(in.peer[:], n.address[:], in.remote, in.local, in.SEQ)
		n.refused.add(refusal{to: in.back(), seg: wire.Segment{
			SEQ: iss, ACK: in.SEQ + 1, WND: tcp.Window, Flags: wire.FlagSYN | wire.FlagACK,
		}})
	default:
		iss, err := n.cookies.ValidateSYNCookie(in.peer[:], n.address[:], in.remote, in.local, in.SEQ-1, in.ACK)
		if err != nil {
			n.refuseStray(in)
			return
		}
		n.accept(now, in, iss)
	}
}

// passCookies lets the cookies grow old.
func (n *Network) passCookies(now time.Duration) {
	for int64(n.cookies.Counter()) < int64(now/cookieTick) {
		n.cookies.IncrementCounter()
	}
}

// accept gives the kubelet a connection. If all of its own are in use, a client
// must wait until it has asked for something: only then is an idle one dropped
// for it, or is it told that the kubelet is busy, as an answer that comes before
// its request confuses it. Without memory for that nothing is done: when the
// client sends its request again, its cookie is still good.
func (n *Network) accept(now time.Duration, in *segment, iss wire.Value) {
	if !n.serves() && (in.DATALEN == 0 || n.vacancy() == nil) {
		return
	}
	c := slot{use: served, to: in.back()}
	c.conn.Accept(now, uint32(iss), uint32(in.SEQ-1), uint16(in.WND))
	s, ok := n.k.Accept(now)
	if !ok {
		n.receiveLinger(now, n.linger(now, &c, kubelet.Busy()), in)
		n.obey(now)
		return
	}
	n.drop(now, int(s))
	n.streams[s] = c
	n.obey(now)
	n.receiveStream(now, int(s), in)
}

// serves tells whether one of the kubelet's connections is free.
func (n *Network) serves() bool {
	for s := kubelet.StreamServed; int(s) < kubelet.NumStreams; s++ {
		if n.streams[s].use == free {
			return true
		}
	}
	return false
}

// findLinger returns the lingering connection of a segment, or nil.
func (n *Network) findLinger(in *segment) *slot {
	for i := range n.lingers {
		if n.lingers[i].belongs(in) {
			return &n.lingers[i]
		}
	}
	return nil
}

// vacancy returns a free place to linger, or nil.
func (n *Network) vacancy() *slot {
	for i := range n.lingers {
		if !n.lingers[i].used() {
			return &n.lingers[i]
		}
	}
	return nil
}

// linger closes a connection in order once rest is sent, beside the kubelet's
// streams.
func (n *Network) linger(now time.Duration, c *slot, rest []byte) *slot {
	l := n.vacancy()
	if l == nil {
		l = n.leastMissed()
	}
	*l = *c
	l.finish, l.rest, l.until = true, rest, now+lingerTime
	*c = slot{}
	l.conn.Resume()
	return l
}

// leastMissed returns the lingering connection to be forgotten for another: of
// those whose peer has all, if there are any, the one that lingers longest.
func (n *Network) leastMissed() *slot {
	best := &n.lingers[0]
	for i := range n.lingers {
		l := &n.lingers[i]
		if quiet := l.conn.Quiet(); quiet == best.conn.Quiet() && l.until < best.until || quiet && !best.conn.Quiet() {
			best = l
		}
	}
	return best
}

// receiveLinger takes a segment of a connection that is closing. What it still
// brings is thrown away, so that the peer can read the answer: a reset would
// take it away (RFC 9112, section 9.6).
func (n *Network) receiveLinger(now time.Duration, c *slot, in *segment) {
	got := c.conn.Receive(now, in.Segment, in.mss)
	if got.Err != nil {
		*c = slot{}
		return
	}
	c.rest = c.rest[min(got.Acked, len(c.rest)):]
	c.conn.Take(got.Data, got.Fin)
}

// pollLingers forgets connections that are closed, or whose time is over.
func (n *Network) pollLingers(now time.Duration) {
	for i := range n.lingers {
		c := &n.lingers[i]
		if c.used() && (now >= c.until || c.conn.Done() || c.conn.Tick(now, len(c.rest)) != nil) {
			*c = slot{}
		}
	}
}

// nextLinger writes a segment of a connection that is closing.
func (n *Network) nextLinger(now time.Duration, p []byte) int {
	if n.address == [4]byte{} {
		return 0
	}
	for i := range n.lingers {
		if c := &n.lingers[i]; c.used() {
			if size := n.sendSlot(now, p, c, c.rest); size > 0 {
				return size
			}
		}
	}
	return 0
}
