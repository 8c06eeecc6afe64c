// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"time"

	wire "github.com/soypat/lneto/dhcp/dhcpv4"
)

// Ports of UDP.
const (
	ClientPort = wire.DefaultClientPort
	ServerPort = wire.DefaultServerPort
)

// MessageSize is the most bytes that Write writes.
const MessageSize = 576 - 28 // every host takes 576 with the headers of IP and UDP

const (
	optRequestedIP = wire.OptRequestedIPaddress
	hardwareEther  = 1

	// minSize is that of BOOTP's messages: relays drop shorter ones (RFC 1542, section 2.1).
	minSize = 300
)

// What is asked of a server.
var parameters = []byte{
	byte(wire.OptSubnetMask), byte(wire.OptRouter), byte(wire.OptDNSServers),
	byte(wire.OptRenewTimeValue), byte(wire.OptRebindingTimeValue),
}

// Write writes the message that is due to p, of MessageSize bytes, and returns
// its length.
func (c *Client) Write(now time.Duration, p []byte) int {
	if !c.due || len(p) < MessageSize {
		return 0
	}
	frame, err := wire.NewFrame(p[:MessageSize])
	if err != nil {
		return 0
	}
	c.writeHeader(now, frame)
	o := options{to: frame.OptionsPayload()}
	c.writeOptions(&o)
	c.sent(now)
	return wire.OptionsOffset + o.end()
}

func (c *Client) writeHeader(now time.Duration, frame wire.Frame) {
	frame.ClearHeader()
	frame.SetOp(wire.OpRequest)
	frame.SetHardware(hardwareEther, byte(len(c.MAC)), 0)
	frame.SetXID(c.xid)
	frame.SetSecs(uint16(min((now-c.began)/time.Second, 0xffff)))
	if c.state == renewing || c.state == rebinding {
		*frame.CIAddr() = c.lease.Address
	}
	*frame.CHAddrAs6() = c.MAC
	frame.SetMagicCookie(wire.MagicCookie)
}

// writeOptions follows RFC 2131, table 5.
func (c *Client) writeOptions(o *options) {
	kind := wire.MsgRequest
	if c.state == selecting {
		kind = wire.MsgDiscover
	}
	o.put(wire.OptMessageType, byte(kind))
	switch c.state {
	case requesting:
		o.put(optRequestedIP, c.offer.Address[:]...)
		o.put(wire.OptServerIdentification, c.offer.Server[:]...)
	case rebooting:
		o.put(optRequestedIP, c.offer.Address[:]...)
	case selecting: // RFC 2131, section 4.4.1: the address that is in use already, if one is
		if c.held {
			o.put(optRequestedIP, c.lease.Address[:]...)
		}
	}
	o.put(wire.OptClientIdentifier, hardwareEther, c.MAC[0], c.MAC[1], c.MAC[2], c.MAC[3], c.MAC[4], c.MAC[5])
	o.put(wire.OptMaximumMessageSize, MessageSize>>8, MessageSize&0xff)
	o.put(wire.OptParameterRequestList, parameters...)
	o.putString(wire.OptHostName, c.Hostname)
}

// options writes options; there is room for all that a Client sends.
type options struct {
	to []byte
	n  int
}

func (o *options) put(number wire.OptNum, data ...byte) {
	n, err := wire.EncodeOption(o.to[o.n:], number, data...)
	if err == nil {
		o.n += n
	}
}

func (o *options) putString(number wire.OptNum, s string) {
	if s == "" {
		return
	}
	n, err := wire.EncodeOptionString(o.to[o.n:], number, s)
	if err == nil {
		o.n += n
	}
}

// end ends the options, pads the message to minSize, and returns their size.
func (o *options) end() int {
	o.to[o.n] = byte(wire.OptEnd)
	o.n++
	for ; o.n < minSize-wire.OptionsOffset; o.n++ {
		o.to[o.n] = 0
	}
	return o.n
}

// answer is what a server's message says.
type answer struct {
	kind  wire.MessageType
	lease Lease
}

// Receive takes the payload of a UDP packet from a server.
func (c *Client) Receive(now time.Duration, p []byte) Event {
	a, ok := c.parse(p)
	if !ok {
		return None
	}
	switch c.state {
	case selecting:
		shunned := a.lease.Server == c.shunned && now < c.began+shunTime
		foreign := c.held && a.lease.Server != c.lease.Server && now < c.began+loyalTime
		if a.kind == wire.MsgOffer && usable(a.lease.Address) && !shunned && !foreign {
			c.offer = a.lease
			c.begin(now, requesting)
		}
	case requesting, rebooting, renewing, rebinding:
		return c.receiveVerdict(now, &a)
	}
	return None
}

func (c *Client) receiveVerdict(now time.Duration, a *answer) Event {
	if a.kind != wire.MsgAck && a.kind != wire.MsgNack {
		return None
	}
	if !c.mayDecide(a.lease.Server) {
		return None
	}
	if a.kind == wire.MsgNack {
		return c.refused(now)
	}
	if !usable(a.lease.Address) {
		return None
	}
	return c.bind(now, &a.lease)
}

// mayDecide tells whether a server was asked: the one that made the offer, or gave
// the lease that is to be renewed, else any.
func (c *Client) mayDecide(server [4]byte) bool {
	switch c.state {
	case requesting:
		return server == c.offer.Server
	case renewing:
		return server == c.lease.Server
	}
	return true
}

// refused begins anew after a NAK: at once if it was for an old lease, else
// after a delay that grows with each.
func (c *Client) refused(now time.Duration) Event {
	if c.state != requesting {
		return c.lose(now)
	}
	c.shun()
	c.begin(now, selecting)
	c.tries, c.naks = c.naks, min(c.naks+1, 100)
	c.sent(now)
	return None
}

// parse reads a message and reports whether it is for this client.
func (c *Client) parse(p []byte) (a answer, ok bool) {
	frame, err := wire.NewFrame(p)
	if err != nil || frame.Op() != wire.OpReply || frame.XID() != c.xid || c.state == stopped ||
		*frame.CHAddrAs6() != c.MAC || frame.MagicCookie() != wire.MagicCookie {
		return a, false
	}
	f, ok := optionFields(p)
	if !ok {
		return a, false
	}
	kind, _ := f.first(wire.OptMessageType)
	a.kind = wire.MessageType(kind[0])
	a.lease = c.base(*frame.YIAddr())
	a.lease.read(&f)
	return a, a.lease.Server != [4]byte{}
}

// base is what holds for an address where a message leaves an option out: what
// was offered with it, or came with the lease that is to be prolonged.
func (c *Client) base(address [4]byte) (l Lease) {
	switch c.state {
	case requesting, rebooting:
		l = c.offer
	case renewing, rebinding:
		l = c.lease
	}
	if l.Address != address {
		l = Lease{Address: address}
	}
	l.Server, l.Time, l.Renewal, l.Rebinding = [4]byte{}, minLease, 0, 0
	return l
}

// read takes the options of a message; one of a wrong size is ignored.
func (l *Lease) read(f *fields) {
	var t [4]byte
	if f.word(wire.OptIPAddressLeaseTime, &t) {
		l.Time = leaseTime(t)
	}
	if f.word(wire.OptRenewTimeValue, &t) {
		l.Renewal = seconds(t)
	}
	if f.word(wire.OptRebindingTimeValue, &t) {
		l.Rebinding = seconds(t)
	}
	f.word(wire.OptServerIdentification, &l.Server)
	f.word(wire.OptSubnetMask, &l.Mask)
	l.mendMask()
	if router, size := f.first(wire.OptRouter); size >= len(router) {
		l.setRouter(router)
	}
	f.servers(&l.DNS)
}

// leaseTime reads a time of which all ones stand for ever (RFC 2131, 3.3).
func leaseTime(t [4]byte) time.Duration {
	if number(t) == 0xffffffff {
		return 0
	}
	return max(seconds(t), minLease)
}

func seconds(t [4]byte) time.Duration { return time.Duration(number(t)) * time.Second }
