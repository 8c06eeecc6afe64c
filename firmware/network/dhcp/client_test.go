// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"bytes"
	"testing"
	"time"

	wire "github.com/soypat/lneto/dhcp/dhcpv4"
)

var (
	mac    = [6]byte{2, 0, 0, 0, 0, 9}
	server = [4]byte{10, 0, 0, 1}
	own    = [4]byte{10, 0, 0, 9}
	all    = [4]byte{255, 255, 255, 255}
)

// option is one of a message.
type option struct {
	number wire.OptNum
	data   []byte
}

func long(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// reply is a server's message to c, with more options than it must have.
func reply(c *Client, kind wire.MessageType, more ...option) []byte {
	return replyOf(c, server, kind, more...)
}

// replyOf is the message of one of several servers.
func replyOf(c *Client, server [4]byte, kind wire.MessageType, more ...option) []byte {
	p := make([]byte, 400)
	f, _ := wire.NewFrame(p)
	f.SetOp(wire.OpReply)
	f.SetXID(c.xid)
	*f.YIAddr(), *f.CHAddrAs6() = own, mac
	f.SetMagicCookie(wire.MagicCookie)
	b := append([]byte{}, byte(wire.OptMessageType), 1, byte(kind), byte(wire.OptServerIdentification), 4)
	b = append(b, server[:]...)
	for _, o := range more {
		b = append(append(b, byte(o.number), byte(len(o.data))), o.data...)
	}
	n := copy(f.OptionsPayload(), append(b, byte(wire.OptEnd)))
	return p[:wire.OptionsOffset+n]
}

// message takes the message that is due, and returns its kind and options.
func message(t *testing.T, c *Client, now time.Duration) (kind wire.MessageType, options map[wire.OptNum]string) {
	t.Helper()
	var p [MessageSize]byte
	for i := range p {
		p[i] = 0xee // of an earlier frame
	}
	n := c.Write(now, p[:])
	if n == 0 {
		t.Fatal("no message is due")
	}
	f, _ := wire.NewFrame(p[:n])
	options = map[wire.OptNum]string{}
	if err := f.ForEachOption(func(_ int, o wire.OptNum, data []byte) error {
		options[o] = string(data)
		return nil
	}); err != nil || !bytes.HasSuffix(bytes.TrimRight(p[:n], "\x00"), []byte{byte(wire.OptEnd)}) {
		t.Fatalf("options do not end: %v, %x", err, p[wire.OptionsOffset:n])
	}
	if n < 300 {
		t.Fatalf("message of %d bytes: BOOTP relays drop it (RFC 1542, section 2.1)", n)
	}
	return wire.MessageType(options[wire.OptMessageType][0]), options
}

// held is a client with a lease, of which the server told more.
func held(t *testing.T, more ...option) *Client {
	t.Helper()
	c := &Client{MAC: mac, Hostname: "pico-1"}
	c.Start(0, 7)
	if kind, _ := message(t, c, 0); kind != wire.MsgDiscover {
		t.Fatalf("first message is %v", kind)
	}
	c.Receive(0, reply(c, wire.MsgOffer))
	if kind, _ := message(t, c, 0); kind != wire.MsgRequest {
		t.Fatalf("second message is %v", kind)
	}
	if e := c.Receive(0, reply(c, wire.MsgAck, more...)); e != Bound {
		t.Fatalf("no lease: %v", e)
	}
	return c
}

func TestMessages(t *testing.T) {
	t.Parallel()
	c := &Client{MAC: mac, Hostname: "pico-1"}
	c.Start(0, 7)
	_, o := message(t, c, 0)
	if o[wire.OptHostName] != "pico-1" || o[wire.OptClientIdentifier] != "\x01"+string(mac[:]) || o[wire.OptParameterRequestList] != string(parameters) {
		t.Errorf("DISCOVER has %q", o)
	}
	if from, to, due := c.Due(); from != [4]byte{} || to != all || due {
		t.Errorf("from %v to %v, due again: %v", from, to, due)
	}
	c.Receive(0, reply(c, wire.MsgOffer))
	_, o = message(t, c, 0)
	if o[wire.OptRequestedIPaddress] != string(own[:]) || o[wire.OptServerIdentification] != string(server[:]) {
		t.Errorf("REQUEST has %q", o)
	}
	c.Receive(0, reply(c, wire.MsgAck, option{wire.OptIPAddressLeaseTime, long(100)}))
	c.Poll(50 * time.Second)
	if from, to, due := c.Due(); from != own || to != server || !due {
		t.Fatalf("renewal from %v to %v, due: %v", from, to, due)
	}
	_, o = message(t, c, 50*time.Second)
	if o[wire.OptRequestedIPaddress] != "" || o[wire.OptServerIdentification] != "" {
		t.Errorf("renewal has %q, which RFC 2131, table 5, forbids", o)
	}
	c.Poll(88 * time.Second)
	if from, to, due := c.Due(); from != own || to != all || !due {
		t.Errorf("rebinding from %v to %v, due: %v", from, to, due)
	}
}

func TestLeaseTimes(t *testing.T) {
	t.Parallel()
	const s = time.Second
	at := func(t1, t2, end uint32) []option {
		return []option{{wire.OptIPAddressLeaseTime, long(end)}, {wire.OptRenewTimeValue, long(t1)}, {wire.OptRebindingTimeValue, long(t2)}}
	}
	tests := map[string]struct {
		options            []option
		renew, rebind, end time.Duration
	}{
		"told":             {at(10, 20, 100), 10 * s, 20 * s, 100 * s},
		"not told":         {at(0, 0, 800)[:1], 400 * s, 700 * s, 800 * s},
		"rebind too late":  {at(10, 900, 800), 10 * s, 700 * s, 800 * s},
		"renew too late":   {at(30, 20, 100), 20 * s, 20 * s, 100 * s},
		"no time at all":   {at(0, 0, 0), 5 * s, 8750 * time.Millisecond, 10 * s},
		"for ever":         {at(0, 0, 0xffffffff), never, never, never},
		"time not told":    {nil, 5 * s, 8750 * time.Millisecond, 10 * s},
		"option too short": {[]option{{wire.OptIPAddressLeaseTime, []byte{1, 2}}}, 5 * s, 8750 * time.Millisecond, 10 * s},
	}
	for name, tt := range tests {
		c := held(t, tt.options...)
		if c.renewAt != tt.renew || c.rebindAt != tt.rebind || c.endAt != tt.end {
			t.Errorf("%s: renews at %v, rebinds at %v, ends at %v", name, c.renewAt, c.rebindAt, c.endAt)
		}
		if c.Wake() != tt.renew {
			t.Errorf("%s: wakes at %v", name, c.Wake())
		}
	}
}

// What is not meant for the client, or is broken, changes nothing.
func TestMessagesPassedOver(t *testing.T) {
	t.Parallel()
	tests := map[string]func(p []byte) []byte{
		"request":        func(p []byte) []byte { p[0] = 1; return p },
		"other exchange": func(p []byte) []byte { p[4]++; return p },
		"other client":   func(p []byte) []byte { p[28]++; return p },
		"no cookie":      func(p []byte) []byte { p[236]++; return p },
		"cut":            func(p []byte) []byte { return p[:239] },
		"no options":     func(p []byte) []byte { return p[:240] },
		"option cut":     func(p []byte) []byte { return p[:247] },
		"empty":          func([]byte) []byte { return nil },
		"no address":     func(p []byte) []byte { copy(p[16:], []byte{0, 0, 0, 0}); return p },
		"group address":  func(p []byte) []byte { p[16] = 224; return p },
		"other server":   func(p []byte) []byte { p[245]++; return p },
		"offer again":    func(p []byte) []byte { p[242] = byte(wire.MsgOffer); return p },
		"unknown kind":   func(p []byte) []byte { p[242] = 99; return p },
	}
	for name, change := range tests {
		c := &Client{MAC: mac}
		c.Start(0, 7)
		message(t, c, 0)
		c.Receive(0, reply(c, wire.MsgOffer))
		message(t, c, 0)
		if e := c.Receive(0, change(reply(c, wire.MsgAck))); e != None || c.state != requesting {
			t.Errorf("%s: %v, state %v", name, e, c.state)
		}
		if e := c.Receive(0, reply(c, wire.MsgAck)); e != Bound {
			t.Errorf("%s: no lease afterwards", name)
		}
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	lease := option{wire.OptIPAddressLeaseTime, long(1000)}
	c := held(t, lease)
	c.Poll(500 * time.Second)
	message(t, c, 500*time.Second)
	if e := c.Receive(501*time.Second, reply(c, wire.MsgAck, lease)); e != None || c.endAt != 1500*time.Second {
		t.Errorf("same lease again: %v, ends at %v", e, c.endAt)
	}
	c.Poll(1000 * time.Second)
	message(t, c, 1000*time.Second)
	if e := c.Receive(1001*time.Second, reply(c, wire.MsgAck, lease, option{wire.OptDNSServers, make([]byte, 8)}, option{wire.OptRouter, []byte{10, 0, 0, 7}})); e != Bound {
		t.Errorf("another router: %v", e)
	}
	c.Poll(1500 * time.Second)
	message(t, c, 1500*time.Second)
	if e := c.Receive(1501*time.Second, reply(c, wire.MsgNack)); e != Lost {
		t.Errorf("NAK: %v", e)
	}
	if kind, _ := message(t, c, 1501*time.Second); kind != wire.MsgDiscover {
		t.Errorf("after the NAK: %v", kind)
	}
}

// Who was not asked decides nothing: only after a question to everybody may any
// server give an address, or take it away.
func TestStrangersDecideNothing(t *testing.T) {
	t.Parallel()
	stranger := [4]byte{10, 0, 0, 66}
	lease := option{wire.OptIPAddressLeaseTime, long(1000)}
	asked := map[string]struct {
		state func(c *Client) time.Duration // reached when
		may   bool
	}{
		"requesting": {func(c *Client) time.Duration {
			c.Stop()
			c.reusable = false
			c.Start(0, 9)
			c.Write(0, make([]byte, MessageSize))
			c.Receive(0, reply(c, wire.MsgOffer))
			return 0
		}, false},
		"renewing":  {func(c *Client) time.Duration { return 500 * time.Second }, false},
		"rebinding": {func(c *Client) time.Duration { c.Poll(500 * time.Second); return 875 * time.Second }, true},
		"rebooting": {func(c *Client) time.Duration { c.Stop(); c.Start(0, 9); return 0 }, true},
	}
	for name, tt := range asked {
		for _, kind := range []wire.MessageType{wire.MsgAck, wire.MsgNack, wire.MsgOffer} {
			c := held(t, lease)
			now := tt.state(c)
			c.Poll(now)
			c.Write(now, make([]byte, MessageSize))
			before := *c
			c.Receive(now, replyOf(c, stranger, kind, lease))
			if moved := *c != before; moved != (tt.may && kind != wire.MsgOffer) {
				t.Errorf("%s: %v of a stranger changes the client: %v", name, kind, moved)
			}
		}
	}
}

// A server that offers first and gives nothing does not keep the board from
// another; alone, it is asked again.
func TestServerThatOffersInVain(t *testing.T) {
	t.Parallel()
	stranger := [4]byte{10, 0, 0, 66}
	for name, refuses := range map[string]bool{"silent": false, "refuses": true} {
		c := &Client{MAC: mac}
		c.Start(0, 7)
		now := time.Duration(0)
		turn := func() {
			var p [MessageSize]byte
			c.Write(now, p[:])
			now = max(now, c.Wake())
			c.Poll(now)
		}
		c.Write(now, make([]byte, MessageSize))
		c.Receive(now, replyOf(c, stranger, wire.MsgOffer))
		for c.state == requesting {
			if refuses {
				c.Receive(now, replyOf(c, stranger, wire.MsgNack))
			}
			turn()
		}
		turn()
		c.Receive(now, replyOf(c, stranger, wire.MsgOffer))
		if c.state != selecting {
			t.Fatalf("%s: offer is taken at once again", name)
		}
		alone := *c
		c.Receive(now, reply(c, wire.MsgOffer))
		c.Write(now, make([]byte, MessageSize))
		if e := c.Receive(now, reply(c, wire.MsgAck)); e != Bound || c.shunned != [4]byte{} {
			t.Errorf("%s: the other's lease: %v, still shunned: %v", name, e, c.shunned)
		}
		for c = &alone; c.state == selecting && now < time.Minute; turn() {
			c.Receive(now, replyOf(c, stranger, wire.MsgOffer))
		}
		if c.state != requesting {
			t.Errorf("%s: alone, it is not asked again in a minute", name)
		}
	}
}

// A lease that has run out while the link was down is not asked for again.
func TestOldLease(t *testing.T) {
	t.Parallel()
	for later, want := range map[time.Duration]wire.MessageType{5 * time.Second: wire.MsgRequest, time.Minute: wire.MsgDiscover} {
		c := held(t)
		c.Stop()
		if _, ok := c.Lease(); ok || c.Wake() != never {
			t.Error("lease holds while the link is down")
		}
		c.Start(later, 8)
		if kind, o := message(t, c, later); kind != want || kind == wire.MsgRequest && o[wire.OptRequestedIPaddress] != string(own[:]) {
			t.Errorf("after %v: %v with %q", later, kind, o)
		}
	}
}

// Whatever a server says, an address that is used could be a host's, its router
// could be another host's or no host's, and a client never waits for ever without a lease.
func FuzzReceive(f *testing.F) {
	c := &Client{MAC: mac}
	f.Add(reply(c, wire.MsgAck, option{wire.OptRouter, own[:]}, option{wire.OptIPAddressLeaseTime, long(1)})[240:], uint16(3))
	f.Fuzz(func(t *testing.T, options []byte, seed uint16) {
		c := &Client{MAC: mac}
		c.Start(0, uint32(seed))
		now := time.Duration(0)
		var p [MessageSize]byte
		for i := range 8 {
			c.Write(now, p[:])
			b := reply(c, wire.MsgOffer+3*wire.MessageType(i&1))
			if i&2 == 0 {
				b = append(b[:240], options...)
			}
			*(*[4]byte)(b[16:]) = [4]byte(bytes.Repeat([]byte{byte(seed)}, 4))
			c.Receive(now, b)
			if l, ok := c.Lease(); ok && (!usable(l.Address) || l.Router != [4]byte{} && (!usable(l.Router) || l.Router == l.Address)) {
				t.Fatalf("lease %+v", l)
			}
			if _, ok := c.Lease(); !ok {
				if _, _, due := c.Due(); !due && c.Wake() == never {
					t.Fatal("client waits for ever")
				}
			}
			now = max(now, min(c.Wake(), now+time.Hour))
			c.Poll(now)
		}
	})
}
