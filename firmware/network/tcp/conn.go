// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"errors"
	"math"
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// Sizes in bytes.
const (
	// Window is what a connection lets its peer send ahead: four segments, more
	// than the packets that a Wi-Fi chip holds back for a busy board.
	Window = 4 * MaxSegment
	// MaxSegment is the payload of a full Ethernet frame without TCP options.
	MaxSegment = 1460
	// DefaultSegment is what a peer takes that did not say (RFC 9293, 3.7.1).
	DefaultSegment = 536

	minSegment  = 64             // of a peer that says less: it would only waste frames
	firstFlight = 4              // segments sent before the first ACK, of the 10 that RFC 6928 allows
	maxFlight   = 8 * MaxSegment // bytes on the way at most

	// ACKs by which a connection answers what does not fit (RFC 5961, section 7).
	maxChallenges     = 10
	challengeInterval = 5 * time.Second

	never = time.Duration(math.MaxInt64)
)

// Ends of a connection. The first two are of a dial.
var (
	ErrRefused = errors.New("connection refused: check the port, and that a program listens there")
	ErrNoReply = errors.New("no answer to the connection's first segment: check that the host is on and reachable")
	ErrReset   = errors.New("connection reset by the peer")
	ErrTimeout = errors.New("peer has stopped answering")
)

type phase uint8

const (
	closed phase = iota
	dialing
	open
)

// Conn is one end of a connection. Its zero value is closed: Dial or Accept
// begins. The owner gives it every segment of its addresses and ports, calls
// Tick when Wake says so, and sends what Next returns, until there is no more.
type Conn struct {
	phase   phase
	peerFin bool  // the peer has sent all, and all is taken
	finSent bool  // a FIN was sent at finSeq, at least once
	finDone bool  // the peer has acknowledged it
	ackDue  bool  // something must be acknowledged
	again   uint8 // more ACKs of the same, one for each segment after a gap
	probe   bool  // look whether a closed window has opened
	alive   bool  // look whether a silent peer is there

	una, nxt, top wire.Value // oldest unacknowledged, next to send, one past the highest ever sent
	finSeq        wire.Value
	rcv           wire.Value // next to be received
	wl1, wl2      wire.Value // segment that set wnd (RFC 9293, 3.10.7.4)
	wnd           uint32     // the peer's window in bytes
	maxWnd        uint32     // the largest that it had
	flight        uint32     // bytes that may be on the way
	window        uint16     // told to the peer
	mss           uint16

	clock rtt
	timer time.Duration // retransmission or window probe; never: not running
	heard time.Duration // when the peer was last heard of
	tries uint8         // retransmissions in a row
	asked uint8         // unanswered keep-alive probes
	dups  uint8         // duplicate ACKs in a row

	challenges uint8         // sent since, at most maxChallenges
	challenged time.Duration // when the first of them was sent
}

// Dial begins a connection with a SYN of sequence number iss.
func (c *Conn) Dial(now time.Duration, iss uint32) {
	c.begin(now, dialing, wire.Value(iss))
}

// Accept begins a connection that a peer has opened: syn is its SYN's sequence
// number, iss that of the SYN that it acknowledged, wnd the window it tells.
func (c *Conn) Accept(now time.Duration, iss, syn uint32, wnd uint16) {
	c.begin(now, open, wire.Value(iss)+1)
	c.rcv = wire.Value(syn) + 1
	c.takeWindow(uint32(wnd), c.rcv, c.una)
}

func (c *Conn) begin(now time.Duration, p phase, seq wire.Value) {
	*c = Conn{
		phase: p, una: seq, nxt: seq, top: seq, window: Window, mss: DefaultSegment,
		flight: firstFlight * DefaultSegment, timer: never, heard: now,
	}
	c.clock.reset()
}

// Open tells whether data can pass.
func (c *Conn) Open() bool { return c.phase == open }

// Closed tells whether the connection is over, or has not begun.
func (c *Conn) Closed() bool { return c.phase == closed }

// Quiet tells whether all that was sent is acknowledged.
func (c *Conn) Quiet() bool { return c.una == c.top }

// Done tells whether both ends have closed and know it of each other.
func (c *Conn) Done() bool { return c.finDone && c.peerFin && !c.ackDue }

// Retrying tells whether segments get lost: at least two in a row were not
// acknowledged, as when the peer's hardware address has changed.
func (c *Conn) Retrying() bool { return c.tries >= 2 }

// Take tells that n bytes of what Receive returned were used, and, if fin is
// set, that the peer's FIN after them was, too.
func (c *Conn) Take(n int, fin bool) {
	c.rcv += wire.Value(n)
	if fin {
		c.rcv++
		c.peerFin = true
	}
}

// Hold closes the window towards the peer, as the owner cannot take more.
func (c *Conn) Hold() { c.window = 0 }

// Resume opens the window again after Hold.
func (c *Conn) Resume() {
	if c.window == 0 {
		c.window, c.ackDue = Window, true
	}
}

// Reset returns the segment that ends the connection at once, and closes it.
func (c *Conn) Reset() wire.Segment {
	seg := wire.Segment{SEQ: c.nxt, ACK: c.rcv, Flags: wire.FlagRST | wire.FlagACK}
	*c = Conn{}
	return seg
}

// Wake returns when Tick is due; a time gone by stands for at once.
func (c *Conn) Wake() time.Duration {
	switch {
	case c.phase == closed:
		return never
	case c.phase == dialing || c.timer != never:
		return c.timer
	}
	return c.heard + keepAliveIdle + time.Duration(c.asked)*keepAliveEvery
}
