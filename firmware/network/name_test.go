// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

// useless are name servers whose answers give no address.
var useless = map[string]dnsServer{
	"silent":                    {silent: true},
	"no such name":              {code: 3},
	"no address":                {},
	"another name's address":    {alias: "gw.example.org", ttl: 60},
	"truncated, without record": {truncated: true},
	"address of no host":        {addresses: [][4]byte{nobody, {127, 0, 0, 1}, {255, 255, 255, 255}}, ttl: 60}, // of a blocked name
	"failed":                    {code: 2},
	"refused":                   {code: 5},
}

// A name server that has no address does not keep the board from the second.
func TestSecondNameServer(t *testing.T) {
	t.Parallel()
	for name, first := range useless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns = first
			l.dns.lan = l
			l.client.dns = &dnsServer{lan: l, addresses: [][4]byte{gatewayIP}, ttl: 60}
			l.dhcp.second = clientIP[:]
			l.n.LinkUp(0)
			l.until(2*time.Second, "the node is registered", l.registered)
			if l.client.dns.asked != 1 || l.dns.asked != 1 {
				t.Errorf("first server was asked %d times, second %d times", l.dns.asked, l.client.dns.asked)
			}
		})
	}
}

// A first name server 0.0.0.0 is skipped.
func TestFirstNameServerInvalid(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "picolet.example.org:8080")
	l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 60
	l.dhcp.dns, l.dhcp.second = nobody, gatewayIP[:]
	l.n.LinkUp(0)
	l.until(time.Second, "the node is registered", l.registered)
}

// An address that was good is kept while no server gives another (RFC 8767).
func TestAddressIsKept(t *testing.T) {
	t.Parallel()
	for name, later := range useless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 60
			l.up()
			asked := l.dns.asked
			l.dns = later
			l.dns.lan = l
			l.run(2 * time.Minute)
			l.gateway.conns = nil // as a gateway that was started again
			l.until(2*time.Minute, "the gateway is dialled", func() bool { return len(l.gateway.conns) > 0 })
			l.until(time.Minute, "the gateway is reached", l.n.connected)
			if l.dns.asked == 0 || asked == 0 {
				t.Errorf("name server was asked %d and %d times", asked, l.dns.asked)
			}
		})
	}
}

// A time to live whose top bit is set is a long one, and is cut to an hour like
// all that are longer (RFC 8767, section 4, which changes RFC 2181, section 8).
func TestTimeToLive(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[uint32]time.Duration{0: minTTL, 29: minTTL, 31: 31 * time.Second, 86400: maxTTL, 1 << 31: maxTTL, 1<<32 - 1: maxTTL} {
		l := newLAN(t, "picolet.example.org:8080")
		l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, ttl
		l.up()
		if got := l.n.resolver.expires; got < want || got > want+time.Second {
			t.Errorf("TTL of %d s: address is asked for again after %v, want %v", ttl, got, want)
		}
	}
}

func TestNameOfMDNS(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "picolet.local:8080")
	l.n.LinkUp(0)
	l.until(time.Second, "the name is asked for", func() bool { return len(l.questions()) > 0 })
	q := l.questions()[0]
	answer := message(bytes.Clone(q.payload[udpSize:]))
	answer[2], answer[7] = 0x84, 1
	answer = appendA(append(answer, 0xc0, dnsHeader), dnsClassIN, 10, gatewayIP)
	l.gateway.sendUDP(mdnsPort, uint16(q.payload[0])<<8|uint16(q.payload[1]), boardIP, boardMAC, answer)
	l.until(time.Second, "the node is registered", l.registered)
}

// questions are those that the board has asked by mDNS.
func (l *lan) questions() (list []packet) {
	for _, p := range l.gateway.udp {
		if p.payload[3] != mdnsPort&0xff || p.dst != multicastDNS {
			l.t.Fatalf("packet to %v: %x", p.dst, p.payload)
		}
		if port := uint16(p.payload[0])<<8 | uint16(p.payload[1]); port != mdnsPort {
			list = append(list, p)
		}
	}
	return list
}

// Some hosts answer all at once, whoever asks (RFC 6762, section 6): without the
// question or its number, among other records.
func TestNameOfMDNSFromGroup(t *testing.T) {
	t.Parallel()
	absent := [4]byte{192, 0, 2, 200}
	record := func(name string, ttl uint32, a [4]byte) []byte {
		return appendA(appendName(nil, name), dnsClassIN|dnsFlush, ttl, a)
	}
	message := func(records ...[]byte) []byte {
		return append(appendHeader(nil, 0, 0x8400, 0, byte(len(records)), 0), bytes.Join(records, nil)...)
	}
	good := message(record("printer.local", 120, absent), record("PICOLET.local", 120, gatewayIP))
	question := append(appendName(appendHeader(nil, 0, 0x8400, 1, 1, 0), "picolet.local"), 0, typeA, 0, dnsClassIN)
	tests := map[string]struct {
		answer []byte
		from   uint16
		src    [4]byte
		taken  bool
	}{
		"records":           {good, mdnsPort, gatewayIP, true},
		"question, too":     {append(question, record("picolet.local", 120, gatewayIP)...), mdnsPort, gatewayIP, true},
		"other names":       {message(record("printer.local", 120, gatewayIP)), mdnsPort, gatewayIP, false},
		"name that ends":    {message(record("picolet.local", 0, gatewayIP)), mdnsPort, gatewayIP, false},
		"another port":      {good, 40000, gatewayIP, false},
		"another network":   {good, mdnsPort, [4]byte{198, 51, 100, 1}, false},
		"a question itself": {append([]byte{0, 0, 0, 0}, good[4:]...), mdnsPort, gatewayIP, false},
		"cut":               {good[:len(good)-1], mdnsPort, gatewayIP, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.local:8080")
			l.n.LinkUp(0)
			l.until(time.Second, "the name is asked for", func() bool { return len(l.questions()) > 0 })
			own := l.gateway.net.address
			l.gateway.net.address = tt.src
			l.gateway.sendUDP(tt.from, mdnsPort, multicastDNS, MulticastMAC, tt.answer)
			l.gateway.net.address = own
			l.run(500 * time.Millisecond)
			if l.registered() != tt.taken {
				t.Errorf("registered: %v\n%s", l.registered(), l.log())
			}
		})
	}
}

// An answer without a question changes nothing.
func TestNameOfMDNSUnasked(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "picolet.example.org:8080")
	l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 60
	l.up()
	answer := appendA(appendName(appendHeader(nil, 0, 0x8400, 0, 1, 0), "picolet.example.org"), dnsClassIN, 60, clientIP)
	l.client.sendUDP(mdnsPort, mdnsPort, multicastDNS, MulticastMAC, answer)
	l.run(time.Second)
	if l.n.resolver.current() != gatewayIP {
		t.Errorf("address is %v", l.n.resolver.current())
	}
}

// A gateway of mDNS that does not answer is no matter of name servers.
func TestNameOfMDNSSilent(t *testing.T) {
	t.Parallel()
	const want = "no host answers mDNS"
	l := newLAN(t, "picolet.local:8080")
	l.n.LinkUp(0)
	l.until(time.Minute, want, func() bool { return strings.Contains(l.log(), want) })
	if l.n.State() != board.NetworkNoGateway || strings.Contains(l.log(), "name server") {
		t.Errorf("state %v\n%s", l.n.State(), l.log())
	}
}
