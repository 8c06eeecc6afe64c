// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"testing"
	"time"

	wire "github.com/soypat/lneto/dhcp/dhcpv4"
)

// Options of a lease as a server of a small network sends them.
var (
	mask    = option{wire.OptSubnetMask, []byte{255, 255, 0, 0}}
	router  = option{wire.OptRouter, []byte{10, 0, 7, 1}}
	servers = option{wire.OptDNSServers, []byte{10, 0, 0, 53, 10, 0, 0, 54}}
	hour    = option{wire.OptIPAddressLeaseTime, long(3600)}
)

// A message that leaves an option out takes nothing away that the offer or the
// lease has.
func TestOptionsOmitted(t *testing.T) {
	t.Parallel()
	want := Lease{
		Address: own, Mask: [4]byte{255, 255, 0, 0}, Router: [4]byte{10, 0, 7, 1}, Server: server,
		DNS: [2][4]byte{{10, 0, 0, 53}, {10, 0, 0, 54}}, Time: time.Hour,
	}
	states := map[string]func(c *Client) time.Duration{
		"renewing":  func(*Client) time.Duration { return 1800 * time.Second },
		"rebinding": func(c *Client) time.Duration { c.Poll(1800 * time.Second); return 3150 * time.Second },
		"rebooting": func(c *Client) time.Duration { c.Stop(); c.Start(time.Minute, 9); return time.Minute },
	}
	for name, reach := range states {
		c := held(t, mask, router, servers, hour)
		now := reach(c)
		c.Poll(now)
		message(t, c, now)
		c.Receive(now, reply(c, wire.MsgAck, hour))
		if l, ok := c.Lease(); !ok || *l != want {
			t.Errorf("%s: lease %+v, want %+v", name, *l, want)
		}
	}
	c := &Client{MAC: mac}
	c.Start(0, 7)
	message(t, c, 0)
	c.Receive(0, reply(c, wire.MsgOffer, mask, router, servers))
	message(t, c, 0)
	c.Receive(0, reply(c, wire.MsgAck, hour))
	if l, ok := c.Lease(); !ok || *l != want {
		t.Errorf("requesting: lease %+v, want %+v", *l, want)
	}
}

// Another address is another lease: nothing of the last one holds for it.
func TestOptionsOmittedWithAnotherAddress(t *testing.T) {
	t.Parallel()
	c := held(t, mask, router, servers, hour)
	c.Poll(1800 * time.Second)
	message(t, c, 1800*time.Second)
	b := reply(c, wire.MsgAck, hour)
	copy(b[16:], []byte{10, 0, 0, 10})
	c.Receive(1800*time.Second, b)
	l, _ := c.Lease()
	if l.Address != [4]byte{10, 0, 0, 10} || l.Mask != [4]byte{255, 255, 255, 0} || l.Router != [4]byte{} || l.DNS != [2][4]byte{} {
		t.Errorf("lease %+v", l)
	}
}

// encode is options without an end.
func encode(options ...option) (b []byte) {
	for _, o := range options {
		b = append(append(b, byte(o.number), byte(len(o.data))), o.data...)
	}
	return b
}

// Options are read from the fields for the boot file and the server's name, too,
// and those of one number are joined.
func TestOptionOverload(t *testing.T) {
	t.Parallel()
	overload := func(fields byte) option { return option{wire.OptOptionOverload, []byte{fields}} }
	tests := map[string]struct {
		options          []option
		file, serverName []byte
		dns              [2][4]byte
		router           [4]byte
	}{
		"not overloaded":  {[]option{router}, encode(servers), encode(servers), [2][4]byte{}, [4]byte{10, 0, 7, 1}},
		"file":            {[]option{overload(1), router}, encode(servers), nil, [2][4]byte{{10, 0, 0, 53}, {10, 0, 0, 54}}, [4]byte{10, 0, 7, 1}},
		"server's name":   {[]option{overload(2)}, nil, encode(servers, router), [2][4]byte{{10, 0, 0, 53}, {10, 0, 0, 54}}, [4]byte{10, 0, 7, 1}},
		"both, after pad": {[]option{overload(3)}, append([]byte{0, 0, 0}, encode(router)...), encode(servers), [2][4]byte{{10, 0, 0, 53}, {10, 0, 0, 54}}, [4]byte{10, 0, 7, 1}},
		"split": {
			[]option{overload(3), {wire.OptDNSServers, []byte{10, 0}}, router, {wire.OptDNSServers, []byte{0, 1}}},
			encode(option{wire.OptDNSServers, []byte{10}}), encode(option{wire.OptDNSServers, []byte{0, 0, 2}}),
			[2][4]byte{{10, 0, 0, 1}, {10, 0, 0, 2}}, [4]byte{10, 0, 7, 1},
		},
	}
	for name, tt := range tests {
		c := &Client{MAC: mac}
		c.Start(0, 7)
		message(t, c, 0)
		c.Receive(0, reply(c, wire.MsgOffer))
		message(t, c, 0)
		b := reply(c, wire.MsgAck, append([]option{mask, hour}, tt.options...)...)
		copy(b[108:236], append(tt.file, byte(wire.OptEnd)))
		copy(b[44:108], append(tt.serverName, byte(wire.OptEnd)))
		c.Receive(0, b)
		if l, ok := c.Lease(); !ok || l.DNS != tt.dns || l.Router != tt.router {
			t.Errorf("%s: lease %+v, %v", name, l, ok)
		}
	}
}

// An option that is cut in one of those fields makes the whole message one.
func TestOptionOverloadCut(t *testing.T) {
	t.Parallel()
	c := &Client{MAC: mac}
	c.Start(0, 7)
	message(t, c, 0)
	c.Receive(0, reply(c, wire.MsgOffer))
	message(t, c, 0)
	b := reply(c, wire.MsgAck, option{wire.OptOptionOverload, []byte{2}})
	b[106], b[107] = byte(wire.OptRouter), 4
	if e := c.Receive(0, b); e != None {
		t.Errorf("%v", e)
	}
}

// Name servers that can be no host's do not hide those that can.
func TestServersInvalid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sent []byte
		want [2][4]byte
	}{
		"first is zero":   {[]byte{0, 0, 0, 0, 10, 0, 0, 53}, [2][4]byte{{10, 0, 0, 53}}},
		"two of many":     {[]byte{127, 0, 0, 1, 10, 0, 0, 53, 255, 255, 255, 255, 10, 0, 0, 54, 10, 0, 0, 55}, [2][4]byte{{10, 0, 0, 53}, {10, 0, 0, 54}}},
		"none":            {[]byte{0, 0, 0, 0}, [2][4]byte{}},
		"half an address": {[]byte{10, 0, 0, 53, 10, 0}, [2][4]byte{{10, 0, 0, 53}}},
	}
	for name, tt := range tests {
		c := held(t, option{wire.OptDNSServers, tt.sent})
		if l, _ := c.Lease(); l.DNS != tt.want {
			t.Errorf("%s: %v, want %v", name, l.DNS, tt.want)
		}
	}
}

func TestRouters(t *testing.T) {
	t.Parallel()
	mask := func(a, b, c, d byte) option { return option{wire.OptSubnetMask, []byte{a, b, c, d}} }
	at := func(a, b, c, d byte) option { return option{wire.OptRouter, []byte{a, b, c, d}} }
	tests := map[string]struct {
		options       []option
		router, spare [4]byte
		mended        bool
	}{
		"none named":              {[]option{mask(255, 255, 255, 0)}, [4]byte{}, [4]byte{}, false},
		"on the subnet":           {[]option{mask(255, 255, 255, 0), at(10, 0, 0, 7)}, [4]byte{10, 0, 0, 7}, [4]byte{}, false},
		"off the subnet":          {[]option{mask(255, 255, 255, 0), at(10, 0, 7, 1)}, [4]byte{10, 0, 7, 1}, server, false},
		"off a subnet of one":     {[]option{mask(255, 255, 255, 255), at(10, 0, 0, 1)}, [4]byte{10, 0, 0, 1}, [4]byte{}, false},
		"subnet of one, no other": {[]option{mask(255, 255, 255, 255), at(10, 0, 0, 9)}, [4]byte{}, [4]byte{}, true},
		"zero":                    {[]option{mask(255, 255, 255, 0), at(0, 0, 0, 0)}, server, [4]byte{}, true},
		"a group":                 {[]option{mask(255, 255, 255, 0), at(224, 0, 0, 1)}, server, [4]byte{}, true},
		"before its mask":         {[]option{at(10, 0, 7, 1), mask(255, 255, 0, 0)}, [4]byte{10, 0, 7, 1}, [4]byte{}, false},
	}
	for name, tt := range tests {
		c := held(t, tt.options...)
		if l, _ := c.Lease(); l.Router != tt.router || l.Spare != tt.spare || l.Mended != tt.mended {
			t.Errorf("%s: router %v, spare %v, mended %v", name, l.Router, l.Spare, l.Mended)
		}
	}
}

// A router off the subnet that does not answer is replaced once: a renewal that
// names it again changes nothing.
func TestRouterMissing(t *testing.T) {
	t.Parallel()
	off := option{wire.OptRouter, []byte{10, 0, 7, 1}}
	c := held(t, option{wire.OptSubnetMask, []byte{255, 255, 255, 0}}, off, hour)
	if c.RouterMissing([4]byte{10, 0, 0, 77}) || !c.RouterMissing([4]byte{10, 0, 7, 1}) || c.RouterMissing(server) {
		t.Error("which router is missing is mistaken")
	}
	for now := 1800 * time.Second; now <= time.Hour; now += 1800 * time.Second {
		if l, _ := c.Lease(); l.Router != server || !l.Mended || l.Offered != [4]byte{10, 0, 7, 1} {
			t.Errorf("lease %+v", l)
		}
		c.Poll(now)
		message(t, c, now)
		if e := c.Receive(now, reply(c, wire.MsgAck, off, hour)); e != None {
			t.Errorf("same lease again: %v", e)
		}
	}
}

// reused is a client that uses its last lease, of an hour, although no server has
// answered since the link went down.
func reused(t *testing.T) (c *Client, now time.Duration) {
	t.Helper()
	c = held(t, mask, router, hour)
	c.Stop()
	c.Start(time.Minute, 9)
	message(t, c, time.Minute)
	if e := c.Reuse(time.Minute + time.Second); e != Bound {
		t.Fatalf("Reuse: %v", e)
	}
	return c, time.Minute + time.Second
}

// Such a lease is asked for until a server answers.
func TestReuse(t *testing.T) {
	t.Parallel()
	c, now := reused(t)
	asked := 0
	for end := now + 5*time.Minute; now < end; now = c.Wake() {
		c.Poll(now)
		if _, _, due := c.Due(); due {
			if kind, o := message(t, c, now); kind != wire.MsgRequest || o[wire.OptRequestedIPaddress] != string(own[:]) {
				t.Fatalf("at %v: %v with %q", now, kind, o)
			}
			asked++
		}
	}
	if asked < 5 || asked > 12 {
		t.Errorf("asked %d times in 5 minutes", asked)
	}
	c.Poll(now)
	message(t, c, now)
	if e := c.Receive(now, reply(c, wire.MsgAck, hour)); e != None || c.endAt != now+time.Hour || c.state != bound {
		t.Errorf("confirmed: %v, state %v, ends at %v, now %v", e, c.state, c.endAt, now)
	}

	c, now = reused(t)
	c.Poll(now)
	message(t, c, c.Wake())
	if e := c.Receive(now, reply(c, wire.MsgNack)); e != Lost {
		t.Errorf("refused: %v", e)
	}
}

// It ends when it would have ended.
func TestReuseEnds(t *testing.T) {
	t.Parallel()
	c, now := reused(t)
	for e := None; e != Lost; now = c.Wake() {
		if now > time.Hour {
			t.Fatal("lease does not end")
		}
		e = c.Poll(now)
		c.Write(now, make([]byte, MessageSize))
	}
	if e := c.Reuse(now); e != None {
		t.Errorf("lease that has ended: %v", e)
	}
}

// Recheck asks everybody for an address, while the one in use stays in use: also
// after a server that offers another has refused it.
func TestRecheck(t *testing.T) {
	t.Parallel()
	c := held(t, mask, router, hour)
	c.Recheck(time.Minute)
	kind, o := message(t, c, time.Minute)
	if kind != wire.MsgDiscover || o[wire.OptRequestedIPaddress] != string(own[:]) {
		t.Errorf("%v with %q", kind, o)
	}
	c.Receive(time.Minute, reply(c, wire.MsgOffer))
	message(t, c, time.Minute)
	if e := c.Receive(time.Minute, reply(c, wire.MsgNack)); e != None {
		t.Errorf("NAK of an offer: %v", e)
	}
	if _, ok := c.Lease(); !ok {
		t.Error("lease was given up for a NAK of an offer")
	}
	now := c.Wake()
	c.Poll(now)
	message(t, c, now)
	now += shunTime
	c.Receive(now, reply(c, wire.MsgOffer))
	message(t, c, now)
	b := reply(c, wire.MsgAck, hour)
	b[19]++
	if e := c.Receive(now, b); e != Bound || c.endAt != now+time.Hour {
		t.Errorf("another address: %v, ends at %v", e, c.endAt)
	}
}
