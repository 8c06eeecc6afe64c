// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// A peer that was silent for keepAliveIdle is asked whether it is still there,
// and given up when it has not answered keepAliveProbes times.
const (
	keepAliveIdle   = 45 * time.Second
	keepAliveEvery  = 10 * time.Second
	keepAliveProbes = 3
)

// Retransmissions before a connection is given up: 2 of a SYN, after 7 s, and 9
// of data, after some 40 s to a peer nearby.
const (
	maxDialTries = 2
	maxTries     = 9
)

// Next returns the next segment to send now, with the part of pending that it
// carries; ok is false if there is none. pending is all that the peer has not
// acknowledged yet, and must begin with the same bytes as long as Receive has
// not told that they were. Fin tells that nothing will follow it.
func (c *Conn) Next(now time.Duration, pending []byte, fin bool) (seg wire.Segment, data []byte, ok bool) {
	switch c.phase {
	case closed:
		return seg, nil, false
	case dialing:
		return c.nextDial(now)
	}
	if c.finSent && before(c.finSeq, c.nxt) {
		pending = nil // all was sent
	} else {
		pending, fin = c.choose(pending, fin)
	}
	fin = fin && !(c.finSent && before(c.finSeq, c.nxt))
	if len(pending) == 0 && !fin {
		return c.nextAck()
	}
	return c.emit(now, pending, fin), pending, true
}

// nextDial sends the SYN.
func (c *Conn) nextDial(now time.Duration) (seg wire.Segment, data []byte, ok bool) {
	if c.nxt != c.una {
		return seg, nil, false
	}
	seg = wire.Segment{SEQ: c.una, Flags: wire.FlagSYN, WND: Window}
	c.sent(now, 1)
	return seg, nil, true
}

// choose returns what of pending to send in the next segment, and whether its
// FIN comes along.
func (c *Conn) choose(pending []byte, fin bool) ([]byte, bool) {
	offset := int(c.nxt - c.una)
	rest := len(pending) - offset
	if rest < 0 || rest == 0 && !fin {
		return nil, false
	}
	size := min(rest, int(c.mss), int(min(c.wnd, c.flight))-offset)
	if size < rest && c.probe {
		size, c.probe = max(size, 1), false
	}
	switch {
	case size < rest && size < int(c.mss) && offset > 0: // a silly window
		return nil, false
	case size <= 0 && rest > 0: // Tick sees to it that the window is probed
		return nil, false
	}
	size = max(size, 0)
	return pending[offset : offset+size], fin && size == rest
}

// emit makes the segment of data, and of a FIN.
func (c *Conn) emit(now time.Duration, data []byte, fin bool) wire.Segment {
	seg := c.segment(c.nxt, wire.FlagACK)
	seg.DATALEN = wire.Size(len(data))
	n := len(data)
	if n > 0 {
		seg.Flags |= wire.FlagPSH
	}
	if fin {
		seg.Flags |= wire.FlagFIN
		c.finSent, c.finSeq = true, c.nxt+wire.Value(n)
		n++
	}
	c.sent(now, n)
	return seg
}

// nextAck sends an ACK without data, if one is due.
func (c *Conn) nextAck() (seg wire.Segment, data []byte, ok bool) {
	switch {
	case c.ackDue:
		seg = c.segment(c.nxt, wire.FlagACK)
		if c.again > 0 {
			c.again--
			c.ackDue = true
		}
		return seg, nil, true
	case c.alive:
		c.alive = false
		return c.segment(c.una-1, wire.FlagACK), nil, true
	}
	return seg, nil, false
}

func (c *Conn) segment(seq wire.Value, flags wire.Flags) wire.Segment {
	c.ackDue = false
	return wire.Segment{SEQ: seq, ACK: c.rcv, WND: wire.Size(c.window), Flags: flags}
}

// sent notes that n numbers from nxt on are on the way.
func (c *Conn) sent(now time.Duration, n int) {
	end := c.nxt + wire.Value(n)
	if before(c.top, end) {
		if c.nxt == c.top {
			c.clock.time(now, end)
		}
		c.top = end
	}
	c.nxt = end
	if c.timer == never {
		c.timer = now + c.clock.timeout(c.tries)
	}
}

// rewind sends again from the oldest byte that is not acknowledged, one
// segment first: the ACK of that tells what else was lost.
func (c *Conn) rewind() {
	c.nxt = c.una
	c.flight = uint32(c.mss)
	c.clock.untime()
}

// Tick does what time asks for, with pending bytes that the peer has not
// acknowledged; it is to be called before Wake is asked. An error ends the
// connection.
func (c *Conn) Tick(now time.Duration, pending int) error {
	if c.phase == open && c.wnd == 0 && pending > 0 && c.timer == never {
		c.timer = now + c.clock.timeout(c.tries) // to probe the closed window (RFC 9293, 3.8.6.1)
	}
	switch {
	case c.phase == closed || now < c.Wake():
		return nil
	case c.timer != never:
		return c.expire(now)
	case c.asked == keepAliveProbes:
		*c = Conn{}
		return ErrTimeout
	}
	c.asked++
	c.alive = true
	return nil
}

// expire is the retransmission time-out (RFC 6298, 5.4 to 5.7).
func (c *Conn) expire(now time.Duration) error {
	switch {
	case c.phase == dialing && c.tries == maxDialTries:
		*c = Conn{}
		return ErrNoReply
	case c.tries == maxTries:
		*c = Conn{}
		return ErrTimeout
	}
	c.tries++
	c.probe = c.phase == open && c.wnd == 0
	c.rewind()
	c.timer = now + c.clock.timeout(c.tries)
	return nil
}
