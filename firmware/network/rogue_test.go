// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/soypat/lneto/dns"

	"github.com/picolet/picolet/board"
)

// A second DHCP server that answers first keeps the board from the network for
// less than a minute, and takes no address away that another has given.
func TestRogueDHCPServer(t *testing.T) {
	t.Parallel()
	tests := map[string]dhcpServer{
		"offers and gives nothing":    {mean: true},
		"offers and refuses":          {nak: true},
		"refuses what others offered": {nak: true, slow: 5 * time.Millisecond},
		"gives what others offered":   {slow: 5 * time.Millisecond},
	}
	for name, rogue := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080")
			l.dhcp.slow = 3 * time.Millisecond
			rogue.lan, rogue.host, rogue.address, rogue.lease = l, l.client, [4]byte{192, 0, 2, 66}, 3600
			rogue.mask, rogue.router, rogue.dns = l.dhcp.mask, clientIP, clientIP
			l.client.dhcp = &rogue
			l.n.LinkUp(0)
			l.until(time.Minute, "the node is registered", l.registered)
			l.run(2 * time.Hour)
			if l.n.address != boardIP || l.n.state.Begun[board.NetworkUp] != 1 {
				t.Errorf("address %v, states began %v", l.n.address, l.n.state.Begun)
			}
			if len(rogue.asked) == 0 {
				t.Error("the rogue server was not heard")
			}
		})
	}
}

// forgeries are answers to a question that no server in order gives. The question
// ends at end.
var forgeries = map[string]func(q []byte, end int) []byte{
	"pointer to itself": func(q []byte, end int) []byte { return forge(q, pointer(end), 1, 4) },
	"pointers in a ring": func(q []byte, end int) []byte {
		return append(forge(q, pointer(end+16), 1, 4), pointer(end)...)
	},
	"pointer behind the end":  func(q []byte, _ int) []byte { return forge(q, pointer(0x3fff), 1, 4) },
	"pointer into the header": func(q []byte, _ int) []byte { return forge(q, pointer(0), 1, 4) },
	"half a pointer":          func(q []byte, _ int) []byte { return append(answered(q, 1), 0xc0) },
	"label that is too long":  func(q []byte, _ int) []byte { return forge(q, []byte{0x40}, 1, 4) },
	"name without an end":     func(q []byte, _ int) []byte { return append(answered(q, 1), bytes.Repeat([]byte{1, 'a'}, 200)...) },
	"data behind the end":     func(q []byte, _ int) []byte { return forge(q, pointer(dnsHeader), 1, 0xffff) },
	"data of another size":    func(q []byte, _ int) []byte { return forge(q, pointer(dnsHeader), 1, 3) },
	"more answers than sent":  func(q []byte, _ int) []byte { return answered(q, 0xffff) },
	"name for itself": func(q []byte, _ int) []byte {
		return append(appendRecord(append(answered(q, 1), pointer(dnsHeader)...), typeCNAME, dnsClassIN, 60, 2), pointer(dnsHeader)...)
	},
	"question is a ring": func(q []byte, _ int) []byte {
		return append(append(answered(q, 0)[:dnsHeader], pointer(dnsHeader)...), 0, typeA, 0, dnsClassIN)
	},
	"many rings": func(q []byte, end int) []byte {
		out := answered(q, 100)
		for range 100 {
			out = append(appendRecord(append(out, pointer(dnsHeader)...), typeCNAME, dnsClassIN, 60, 2), pointer(len(out)+12)...)
		}
		return out
	},
}

func pointer(to int) []byte { return []byte{0xc0 | byte(to>>8), byte(to)} }

// answered is a question made an answer with records to come.
func answered(q []byte, records uint16) []byte {
	q[2], q[3] = 0x81, 0x80
	binary.BigEndian.PutUint16(q[6:], records)
	return q
}

// forge is an answer of one address under a name, said to have size bytes.
func forge(q, name []byte, records, size uint16) []byte {
	return append(appendRecord(append(answered(q, records), name...), typeA, dnsClassIN, 60, size), gatewayIP[:]...)
}

func TestForgedNames(t *testing.T) {
	t.Parallel()
	for name, f := range forgeries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 60
			l.dns.forge = func(q []byte) []byte { return f(q, len(q)) }
			l.n.LinkUp(0)
			l.run(20 * time.Second)
			if l.registered() || l.dns.asked == 0 {
				t.Fatalf("the gateway was found after %d questions", l.dns.asked)
			}
			l.dns.forge = nil
			l.until(2*time.Minute, "the node is registered", l.registered)
		})
	}
}

// A flood of questions for the board's name is not answered by a flood, and the
// board serves on.
func TestFloodOfMDNS(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(5 * time.Second)
	question := func(class uint16) []byte {
		p := appendName(appendHeader(nil, 77, 0, 1, 0, 0), "pico-1.local")
		return binary.BigEndian.AppendUint16(append(p, 0, typeA), class)
	}
	l.client.udp = nil
	c := l.client.dial(get)
	begin := l.now
	for l.now < begin+10*time.Second {
		l.client.sendUDP(mdnsPort, mdnsPort, multicastDNS, MulticastMAC, question(dnsClassIN))
		l.client.sendUDP(mdnsPort, mdnsPort, multicastDNS, MulticastMAC, question(dnsClassIN|dnsFlush))
		l.client.sendUDP(40000, mdnsPort, multicastDNS, MulticastMAC, question(dnsClassIN))
		l.client.sendUDP(40001, mdnsPort, boardIP, boardMAC, question(dnsClassIN))
		l.run(time.Millisecond)
	}
	if n := len(l.client.udp); n < 50 || n > 10*10+10+2 {
		t.Errorf("%d answers to 40 000 questions in 10 s", n)
	}
	if !bytes.HasPrefix(c.got, []byte("HTTP/1.1 200 ")) || l.n.State() != board.NetworkUp {
		t.Errorf("state %v, answer %.40q", l.n.State(), c.got)
	}
}

// A frame from a group's address would be answered to the group.
func TestSenderIsNoGroup(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(5 * time.Second)
	l.client.udp, l.client.net.mac = nil, broadcastMAC
	q := append(appendName(appendHeader(nil, 77, 0, 1, 0, 0), "pico-1.local"), 0, typeA, 0, dnsClassIN)
	l.client.sendUDP(40000, mdnsPort, boardIP, boardMAC, q)
	l.run(time.Second)
	if n := len(l.client.udp); n != 0 {
		t.Errorf("%d answers to everybody", n)
	}
}

// FuzzMessages: whatever a DNS message says, reading it ends, and stays inside of it.
func FuzzMessages(f *testing.F) {
	question := append(appendName(appendHeader(nil, 0, 0, 1, 0, 0), "a.example.org"), 0, typeA, 0, dnsClassIN)
	for _, name := range slices.Sorted(maps.Keys(forgeries)) {
		f.Add(forgeries[name](bytes.Clone(question), len(question)))
	}
	f.Add(append(appendName(appendHeader(nil, 0, 0, 1, 0, 0), "pico-1.local"), 0, typeA, 0, dnsClassIN))
	f.Add(appendA(appendName(appendHeader(nil, 0, 0x8400, 0, 1, 0), "pico-2.local"), dnsClassIN, 60, gatewayIP))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := message(b)
		for off := range b {
			if next := m.skipName(off); next > len(b)+1 || next >= 0 && next <= off {
				t.Fatalf("name at %d ends at %d of %d", off, next, len(b))
			}
			if text, _, ok := m.label(off); ok && len(text) > 63 {
				t.Fatalf("label of %d bytes at %d", len(text), off)
			}
			if r, next, ok := m.record(off); ok && (next > len(b) || r.data+r.size != next) {
				t.Fatalf("record at %d is %+v, up to %d of %d", off, r, next, len(b))
			}
		}
		r := resolver{name: "a.example.org", asking: true, port: 1}
		r.receive(0, b)
		if r.known > maxAddresses || r.known > 0 && (r.asking || r.expires < minTTL || r.expires > maxTTL) {
			t.Fatalf("resolver is %+v", r)
		}
		r = resolver{name: "pico-2.local", asking: true, port: 1}
		r.receiveMulticast(0, b)
		if r.known > maxAddresses || r.asking == (r.known > 0) {
			t.Fatalf("resolver of mDNS is %+v", r)
		}
		d := responder{name: "pico-1"}
		d.receive(time.Second, &packet{mac: boardMAC, src: clientIP, dst: multicastDNS}, mdnsPort, b, boardIP)
		if f, err := dns.NewFrame(b); d.due && (err != nil || f.Flags().IsResponse()) {
			t.Fatal("an answer is answered")
		}
	})
}

// FuzzSegmentOptions: reading the options of a segment ends, and finds a size only
// if it is there.
func FuzzSegmentOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 0xb4})
	f.Add([]byte{1, 1, 2, 4, 0, 64, 0})
	f.Add([]byte{3, 0, 2, 4, 1, 1})
	f.Add([]byte{2, 4, 1})
	f.Fuzz(func(t *testing.T, options []byte) {
		mss := maxSegmentOption(options)
		if mss != 0 && !bytes.Contains(options, []byte{2, 4, byte(mss >> 8), byte(mss)}) {
			t.Errorf("%x tell %d", options, mss)
		}
	})
}
