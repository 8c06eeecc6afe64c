// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// Input is what a segment brought.
type Input struct {
	Err    error // the connection ended; nothing else holds
	Opened bool  // a dial succeeded
	Stray  bool  // the segment is of another connection: answer with Refusal
	Acked  int   // bytes of what was pending that the peer now has
	Skip   int   // bytes of payload that were received before
	Data   int   // bytes after them that are new; to be told by Take
	Fin    bool  // the peer has sent all with them
}

// Receive takes a segment and the maximum segment size that its options tell,
// 0 for none.
func (c *Conn) Receive(now time.Duration, seg wire.Segment, mss uint16) (in Input) {
	switch {
	case c.phase == closed:
		return Input{Stray: true}
	case c.phase == dialing:
		return c.receiveReply(now, seg, mss)
	case !c.acceptable(seg):
		c.receiveOutside(now, seg)
		return Input{}
	case seg.Flags.HasAny(wire.FlagRST):
		return c.receiveReset(now, seg)
	case seg.Flags.HasAny(wire.FlagSYN):
		c.challenge(now) // RFC 5961, section 4.2
		return Input{}
	case !seg.Flags.HasAny(wire.FlagACK) || !c.receiveAck(now, seg, &in):
		return Input{}
	}
	c.hear(now, seg)
	c.receiveText(seg, &in)
	return in
}

// receiveReply takes the answer to a SYN (RFC 9293, 3.10.7.3).
func (c *Conn) receiveReply(now time.Duration, seg wire.Segment, mss uint16) Input {
	rst := seg.Flags.HasAny(wire.FlagRST)
	switch {
	case seg.Flags.HasAny(wire.FlagACK) && (seg.ACK != c.una+1 || c.top == c.una):
		return Input{Stray: !rst}
	case rst && seg.Flags.HasAny(wire.FlagACK):
		*c = Conn{}
		return Input{Err: ErrRefused}
	case rst || !seg.Flags.HasAll(wire.FlagSYN|wire.FlagACK):
		return Input{}
	}
	c.phase, c.ackDue, c.heard = open, true, now
	c.una = seg.ACK
	c.nxt = c.una
	c.rcv = seg.SEQ + 1
	c.takeWindow(uint32(seg.WND), seg.SEQ, seg.ACK)
	c.clock.sample(now, c.una)
	c.tries, c.timer = 0, never
	if mss != 0 {
		c.mss = min(max(mss, minSegment), MaxSegment)
	}
	c.flight = firstFlight * uint32(c.mss)
	return Input{Opened: true}
}

// acceptable is the first check of RFC 9293, 3.10.7.4. A window that Hold has
// closed counts as open: the segment's ACK is wanted all the same.
func (c *Conn) acceptable(seg wire.Segment) bool {
	end := c.rcv + Window
	n := wire.Value(seg.LEN())
	if n == 0 {
		return seg.SEQ == c.rcv || before(c.rcv, seg.SEQ) && before(seg.SEQ, end)
	}
	return before(seg.SEQ, end) && before(c.rcv, seg.SEQ+n)
}

// receiveOutside takes a segment of which nothing is new, or that lies beyond the
// window. Data is acknowledged each time: the ACK before may have been lost.
func (c *Conn) receiveOutside(now time.Duration, seg wire.Segment) {
	switch {
	case seg.Flags.HasAny(wire.FlagRST):
	case seg.DATALEN > 0 && !seg.Flags.HasAny(wire.FlagSYN):
		c.ackDue = true
	default:
		c.challenge(now)
	}
	c.hear(now, seg)
}

// challenge acknowledges again what was received, so that a peer that has lost its
// place finds it. There are few of those in a time: whoever guesses segments must not
// make the board send. They are counted for each connection: a count for all
// would show a stranger that there are others.
func (c *Conn) challenge(now time.Duration) {
	if c.challenges == 0 || now >= c.challenged+challengeInterval {
		c.challenges, c.challenged = 0, now
	}
	if c.challenges < maxChallenges {
		c.challenges++
		c.ackDue = true
	}
}

// receiveReset takes only a RST that knows the exact place (RFC 5961, section 3.2).
func (c *Conn) receiveReset(now time.Duration, seg wire.Segment) Input {
	if seg.SEQ != c.rcv {
		c.challenge(now)
		return Input{}
	}
	*c = Conn{}
	return Input{Err: ErrReset}
}

// hear notes that the peer is there, by a segment that fits the connection.
func (c *Conn) hear(now time.Duration, seg wire.Segment) {
	if seg.Flags.HasAny(wire.FlagACK) && !before(seg.ACK, c.una) && !before(c.top, seg.ACK) {
		c.heard, c.asked, c.alive = now, 0, false
	}
}

// receiveAck takes the ACK and the window. It reports false for an ACK of what
// was never sent, or is so old that the peer cannot have meant it (RFC 5961,
// section 5.2): its data could be anybody's.
func (c *Conn) receiveAck(now time.Duration, seg wire.Segment, in *Input) bool {
	if before(c.top, seg.ACK) || before(seg.ACK, c.una-wire.Value(c.maxWnd)) {
		c.challenge(now)
		return false
	}
	if before(seg.ACK, c.una) {
		return true
	}
	if before(c.una, seg.ACK) {
		in.Acked = c.advance(now, seg.ACK)
	} else {
		c.countDuplicate(seg)
	}
	if before(c.wl1, seg.SEQ) || c.wl1 == seg.SEQ && !before(seg.ACK, c.wl2) {
		c.setWindow(seg)
	}
	return true
}

// advance moves una to ack and returns how many bytes of data that is.
func (c *Conn) advance(now time.Duration, ack wire.Value) int {
	n := int(ack - c.una)
	if c.finSent && before(c.finSeq, ack) {
		c.finDone = true
		n--
	}
	c.una = ack
	if before(c.nxt, ack) {
		c.nxt = ack
	}
	c.clock.sample(now, ack)
	c.tries, c.dups = 0, 0
	c.timer = never
	if c.una != c.top {
		c.timer = now + c.clock.timeout(0)
	}
	c.flight = min(c.flight+uint32(c.mss), maxFlight)
	return n
}

// countDuplicate sends again after the third ACK for the same byte (RFC 5681,
// 3.2): a segment was lost, and later ones arrived.
func (c *Conn) countDuplicate(seg wire.Segment) {
	if seg.LEN() > 0 || uint32(seg.WND) != c.wnd || c.una == c.top {
		c.dups = 0
		return
	}
	if c.dups++; c.dups == 3 {
		c.rewind()
	}
}

// setWindow takes the peer's window. One that opens stops the probing.
func (c *Conn) setWindow(seg wire.Segment) {
	if c.wnd == 0 && seg.WND > 0 {
		c.rewind()
		c.probe, c.tries, c.timer = false, 0, never
		c.flight = firstFlight * uint32(c.mss)
	}
	c.takeWindow(uint32(seg.WND), seg.SEQ, seg.ACK)
}

// takeWindow notes the peer's window, and the segment that had it.
func (c *Conn) takeWindow(wnd uint32, seq, ack wire.Value) {
	c.wnd, c.wl1, c.wl2 = wnd, seq, ack
	c.maxWnd = max(c.maxWnd, wnd)
}

// receiveText finds what is new in a segment. Data after a gap is left to the
// peer to send again; an ACK for each such segment tells it where the gap
// begins, and lets it retransmit fast (RFC 5681, 4.2).
func (c *Conn) receiveText(seg wire.Segment, in *Input) {
	fin := seg.Flags.HasAny(wire.FlagFIN)
	if seg.DATALEN == 0 && !fin {
		return
	}
	if before(c.rcv, seg.SEQ) && c.ackDue {
		c.again = min(c.again+1, 3)
	}
	c.ackDue = true
	if before(c.rcv, seg.SEQ) || c.peerFin {
		return
	}
	in.Skip = int(c.rcv - seg.SEQ)
	in.Data = int(seg.DATALEN) - in.Skip
	in.Fin = fin
	if room := int(c.window); in.Data > room {
		in.Data, in.Fin = room, false
	}
}

// before tells whether a comes before b, modulo 2^32 (RFC 9293, 3.4).
func before(a, b wire.Value) bool { return int32(a-b) < 0 }

// Refusal returns the RST for a segment that belongs to no connection (RFC
// 9293, 3.10.7.1); ok is false if the segment must not be answered.
func Refusal(seg wire.Segment) (rst wire.Segment, ok bool) {
	switch {
	case seg.Flags.HasAny(wire.FlagRST):
		return wire.Segment{}, false
	case seg.Flags.HasAny(wire.FlagACK):
		return wire.Segment{SEQ: seg.ACK, Flags: wire.FlagRST}, true
	}
	return wire.Segment{ACK: seg.SEQ + wire.Value(seg.LEN()), Flags: wire.FlagRST | wire.FlagACK}, true
}
