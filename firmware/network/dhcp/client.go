// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dhcp is a DHCP client (RFC 2131) without I/O: it takes messages and
// the time since boot, and says what to send and which address holds. It keeps
// a lease by renewing and rebinding, asks for the last one again after the link
// was lost, and replaces invalid routers.
//
// It sends nothing, reads no clock, keeps nothing over a reboot, and does not
// look whether an address is in use already: that is the server's to do. The
// format of messages is lneto's.
package dhcp

import (
	"math"
	"time"
)

const never = time.Duration(math.MaxInt64)

// Delays between tries. RFC 2131 (4.1) begins with 4 s; a board that a person
// waits for begins with less, and waits no longer than that one.
const (
	firstDelay   = time.Second
	maxDelay     = 64 * time.Second
	rebootTries  = 2                // for the last lease, before another is asked for
	requestTries = 4                // for an offer
	minRenew     = 60 * time.Second // between requests to prolong (RFC 2131, 4.4.5)
	minLease     = 10 * time.Second // a shorter one is taken for this long
	shunTime     = 5 * time.Second  // in which others may offer, before a server that did not keep its word is asked again
	loyalTime    = 5 * time.Second  // in which only the server of a lease that holds may offer
)

// state is that of RFC 2131, figure 5.
type state uint8

const (
	stopped state = iota
	selecting
	requesting
	rebooting
	bound
	renewing
	rebinding
)

// Event is what an input led to.
type Event uint8

// The events. Bound comes with the first lease, and with one that differs from
// the last; Lost when its address must not be used any longer.
const (
	None Event = iota
	Bound
	Lost
)

// Client asks for an address and keeps it. The fields are to be set before
// Start.
type Client struct {
	MAC      [6]byte // Required: of the network interface
	Hostname string  // Optional [none]: told to the server, at most 63 bytes

	state  state
	due    bool // a message is to be sent
	tries  uint8
	naks   uint8 // refusals since a lease held
	random uint32
	xid    uint32
	began  time.Duration // of this exchange
	at     time.Duration // when to send again, or to go on to the next state

	offer    Lease   // what is asked for
	shunned  [4]byte // server whose last offer led to no lease; zero: none
	lease    Lease   // what holds
	renewAt  time.Duration
	rebindAt time.Duration
	endAt    time.Duration
	held     bool // lease is in use: after Reuse and Recheck also while rebooting, selecting and requesting
	reusable bool // lease has not ended: it may be asked for again
}

// Start begins when the link comes up. Entropy must differ from start to start.
func (c *Client) Start(now time.Duration, entropy uint32) {
	c.random = entropy | 1
	c.held = false
	if c.reusable && now < c.endAt {
		c.offer = c.lease
		c.begin(now, rebooting)
		return
	}
	c.begin(now, selecting)
}

// Stop ends when the link goes down. The lease can be asked for again.
func (c *Client) Stop() { c.state, c.held, c.due, c.at = stopped, false, false, never }

// Lease returns the lease that holds; ok is false if none does. The lease stays the
// Client's, and is to be read before its next input.
func (c *Client) Lease() (l *Lease, ok bool) { return &c.lease, c.held }

// Last returns the lease that was in use before the link went down, which Reuse
// would take into use; ok is false if there is none, or one holds already.
func (c *Client) Last() (l *Lease, ok bool) { return &c.lease, c.reusable && !c.held }

// Reuse takes the last lease into use until it ends, although no server answers
// (RFC 2131, section 3.2): the caller knows that the board is on the same network.
// The client goes on asking.
func (c *Client) Reuse(now time.Duration) Event {
	if !c.reusable || now >= c.endAt || c.state != rebooting && c.state != selecting {
		return None
	}
	before := c.held
	c.held, c.offer = true, c.lease
	if c.state == selecting {
		c.begin(now, rebooting)
	}
	if before {
		return None
	}
	return Bound
}

// Recheck asks all servers for an address, as the one that is in use may be of
// another network. It stays in use until one answers.
func (c *Client) Recheck(now time.Duration) {
	if c.held && c.state != selecting && c.state != requesting {
		c.begin(now, selecting)
	}
}

// RouterMissing notes that a router does not answer, and reports whether that was
// the lease's and another is to be used from now on.
func (c *Client) RouterMissing(router [4]byte) bool {
	l := &c.lease
	if !c.held || router != l.Router || l.Spare == [4]byte{} {
		return false
	}
	l.useSpare()
	return true
}

// Due tells whether a message is to be sent now, and from and to where: zero
// stands for no address of one's own, 255.255.255.255 for everybody.
func (c *Client) Due() (from, to [4]byte, due bool) {
	to = [4]byte{255, 255, 255, 255}
	switch c.state {
	case renewing:
		return c.lease.Address, c.lease.Server, c.due
	case rebinding:
		return c.lease.Address, to, c.due
	}
	return from, to, c.due
}

// Wake is when Poll is due.
func (c *Client) Wake() time.Duration {
	if c.state == stopped {
		return never
	}
	if c.held {
		return min(c.at, c.endAt)
	}
	return c.at
}

// Poll does what time asks for.
func (c *Client) Poll(now time.Duration) Event {
	if c.state == stopped {
		return None
	}
	if c.held && now >= c.endAt {
		return c.lose(now)
	}
	if now < c.at {
		return None
	}
	switch c.state {
	case bound:
		c.begin(now, renewing)
	case renewing:
		c.prolong(now, c.rebindAt)
	case rebinding:
		c.prolong(now, c.endAt)
	case rebooting:
		c.reboot(now)
	case requesting:
		c.again(now, requestTries)
	case selecting:
		c.ask()
	}
	return None
}

// begin enters a state that sends a message at once.
func (c *Client) begin(now time.Duration, s state) {
	c.state, c.tries, c.began = s, 0, now
	c.ask()
	if s != requesting { // it answers an offer, with the number of that exchange
		c.xid = c.next()
	}
}

// ask makes a message due. How long to wait for an answer is told by sent; until
// it can be sent, only the end of the state counts.
func (c *Client) ask() {
	c.due = true
	switch c.state {
	case renewing:
		c.at = c.rebindAt
	case rebinding:
		c.at = c.endAt
	default:
		c.at = never
	}
}

// reboot asks once more for the last lease. While it is in use, it is asked for
// until it ends; each question begins a lease of its own.
func (c *Client) reboot(now time.Duration) {
	if !c.held {
		c.again(now, rebootTries)
		return
	}
	tries := c.tries
	c.begin(now, rebooting)
	c.tries = tries
}

// again asks once more, or looks for another offer after limit tries.
func (c *Client) again(now time.Duration, limit uint8) {
	if c.tries >= limit {
		c.shun()
		c.begin(now, selecting)
		return
	}
	c.ask()
}

// shun notes that the offer of a server led to nothing: without that, one that
// offers first and gives nothing would keep the board from all others.
func (c *Client) shun() {
	if c.state == requesting {
		c.shunned = c.offer.Server
	}
}

// prolong asks for more time, until the time of the next state has come.
func (c *Client) prolong(now, until time.Duration) {
	if now >= until && c.state == renewing {
		c.begin(now, rebinding)
		return
	}
	c.ask()
}

// lose gives the address up and asks for another.
func (c *Client) lose(now time.Duration) Event {
	held := c.held
	c.held, c.reusable = false, false
	c.begin(now, selecting)
	if held {
		return Lost
	}
	return None
}

// sent sets the time of the next try.
func (c *Client) sent(now time.Duration) {
	c.due = false
	switch c.state {
	case renewing:
		c.at = min(now+max((c.rebindAt-now)/2, minRenew), c.rebindAt)
	case rebinding:
		c.at = min(now+max((c.endAt-now)/2, minRenew), c.endAt)
	default:
		d := min(firstDelay<<min(c.tries, 8), maxDelay)
		c.at = now + d - d/4 + time.Duration(c.next())%(d/2)
		c.tries = min(c.tries+1, 100)
	}
}

// bind takes a lease that was acknowledged. It reports Bound if the kept
// address, router or name servers are others than before.
func (c *Client) bind(now time.Duration, l *Lease) Event {
	changed := !c.held || !l.same(c.lease)
	c.state, c.lease, c.held, c.reusable, c.due = bound, *l, true, true, false
	c.naks, c.shunned = 0, [4]byte{}
	if l.Time == 0 { // for ever
		c.renewAt, c.rebindAt, c.endAt, c.at = never, never, never, never
	} else {
		renew, rebind := l.times()
		c.renewAt, c.rebindAt, c.endAt = c.began+renew, c.began+rebind, c.began+l.Time
		c.at = max(c.renewAt, now)
	}
	if changed {
		return Bound
	}
	return None
}

// next is xorshift32.
func (c *Client) next() uint32 {
	x := c.random
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	c.random = x
	return x
}
