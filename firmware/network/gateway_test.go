// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/soypat/lneto/arp"
	"github.com/soypat/lneto/ethernet"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

func TestName(t *testing.T) {
	t.Parallel()
	absent := [4]byte{192, 0, 2, 200}
	tests := map[string]struct {
		dns  dnsServer
		loss float64
	}{
		"one address":          {dns: dnsServer{addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"behind another name":  {dns: dnsServer{alias: "gw.example.org", addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"before that name":     {dns: dnsServer{alias: "gw.example.org", reversed: true, addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"behind four names":    {dns: dnsServer{alias: "a.example.org b.example.org c.example.org d.example.org", addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"before four names":    {dns: dnsServer{alias: "a.example.org b.example.org c.example.org d.example.org", reversed: true, addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"truncated":            {dns: dnsServer{truncated: true, addresses: [][4]byte{gatewayIP}, ttl: 60}},
		"the second of three":  {dns: dnsServer{addresses: [][4]byte{absent, gatewayIP, absent}, ttl: 60}},
		"more than are kept":   {dns: dnsServer{addresses: [][4]byte{gatewayIP, absent, absent, absent, absent, absent}, ttl: 60}},
		"no time to live":      {dns: dnsServer{addresses: [][4]byte{gatewayIP}}},
		"question may be lost": {dns: dnsServer{addresses: [][4]byte{gatewayIP}, ttl: 60}, loss: 0.2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns, l.loss = tt.dns, tt.loss
			l.dns.lan = l
			l.up()
		})
	}
}

func TestNameIsNotFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dns  dnsServer
		none bool
		want string
	}{
		"no such name":   {dns: dnsServer{code: 3}, want: "is not in the DNS"},
		"no address":     {dns: dnsServer{}, want: "is not in the DNS"},
		"server refuses": {dns: dnsServer{code: 5}, want: "no name server answers"},
		"server silent":  {dns: dnsServer{silent: true}, want: "no name server answers"},
		"no server":      {none: true, want: "DHCP told no name server"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns = tt.dns
			l.dns.lan = l
			if tt.none {
				l.dhcp.dns = nobody
			}
			l.n.LinkUp(0)
			l.until(time.Minute, tt.want, func() bool { return strings.Contains(l.log(), tt.want) })
			if l.n.State() != board.NetworkNoGateway {
				t.Errorf("state is %v", l.n.State())
			}
			asked, begin := l.dns.asked, l.now
			l.run(5 * time.Minute)
			if rate := float64(l.dns.asked-asked) / (l.now - begin).Minutes(); rate > 60 {
				t.Errorf("%.0f questions a minute", rate)
			}
			if tt.none {
				return
			}
			l.dns = dnsServer{lan: l, addresses: [][4]byte{gatewayIP}, ttl: 60}
			l.until(30*time.Second, "the node is registered", l.registered)
		})
	}
}

func TestNameMoves(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "picolet.example.org:8080")
	l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 3600
	l.up()
	moved := [4]byte{192, 0, 2, 77}
	l.dns.addresses = [][4]byte{moved}
	old := l.gateway.serve
	l.gateway.serve = nil
	l.gateway.conns = nil
	l.client.net.address, l.client.serve = moved, old
	l.until(time.Minute, "the gateway is reached at its new address", func() bool { return len(l.client.conns) > 0 && l.n.connected() })
}

func TestNameServerGoesAway(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "picolet.example.org:8080")
	l.dns.addresses = [][4]byte{gatewayIP}
	l.up()
	l.dns.silent = true
	l.run(2 * time.Minute)
	l.gateway.conns = nil // as a gateway that was started again
	l.until(time.Minute, "the gateway is dialled", func() bool { return l.dns.asked > 1 && len(l.gateway.conns) > 0 })
	l.until(time.Minute, "the gateway is reached", l.n.connected)
}

func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	serve := l.gateway.serve
	l.gateway.serve = nil
	l.n.LinkUp(0)
	l.run(5 * time.Minute)
	if l.n.State() != board.NetworkNoGateway {
		t.Fatalf("state is %v", l.n.State())
	}
	if l.sent > 500 {
		t.Errorf("%d frames sent in five minutes", l.sent)
	}
	l.gateway.serve = serve
	l.until(10*time.Second, "the node is registered", l.registered)
}

func TestGatewayIsAbsent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		gateway string
		want    string
		cut     bool // the router has no way to it
	}{
		"no host":       {"192.0.2.50:8080", "no host answers ARP", false},
		"no segments":   {"192.0.2.1:8080", "no answer to the connection's first segment", true},
		"not by router": {"198.51.100.1:8080", "no answer to the connection's first segment", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, tt.gateway)
			l.onFrame = func(toBoard bool, f []byte) bool {
				return !(tt.cut && !toBoard && len(f) > 23 && f[12] == 8 && f[13] == 0 && f[23] == 6)
			}
			l.n.LinkUp(0)
			l.until(time.Minute, tt.want, func() bool { return strings.Contains(l.log(), tt.want) })
			if l.n.State() != board.NetworkNoGateway || l.n.state.Begun[board.NetworkNoGateway] != 1 {
				t.Errorf("state is %v, began %v", l.n.State(), l.n.state.Begun)
			}
		})
	}
}

// A gateway that is switched off is noticed on a stream that waits for a long
// time, too: nothing else would end it.
func TestGatewayVanishes(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(30 * time.Second)
	l.gateway.off = true
	begin := l.now
	l.until(2*time.Minute, "all streams to the gateway have ended", func() bool { return !l.n.connected() })
	if took := l.now - begin; took > 90*time.Second {
		t.Errorf("noticed after %v", took)
	}
	l.until(time.Minute, "the state tells", func() bool { return l.n.State() == board.NetworkNoGateway })
	l.gateway.off = false
	l.gateway.conns = nil
	l.until(30*time.Second, "the gateway is reached", l.n.connected)
}

// A stream on which nothing passes is probed, and the gateway's answers keep it.
func TestSilentStreamIsKept(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(5 * time.Second)
	watch := l.n.streams[kubelet.StreamWatch].to
	l.run(4 * time.Minute)
	if l.n.streams[kubelet.StreamWatch].to != watch {
		t.Errorf("stream of the watch was given up:\n%s", l.log())
	}
}

func TestGatewayGetsNewHardware(t *testing.T) {
	t.Parallel()
	for name, announced := range map[string]bool{"announced": true, "unannounced": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			l.run(time.Second)
			l.gateway.net.mac[5] = 0x77
			if announced {
				l.gateway.sendARP(arp.OpRequest, broadcastMAC, gatewayIP)
			}
			api := l.gateway.conns[0]
			pending := len(api.got)
			before := l.n.streams[kubelet.StreamAPI].to
			l.run(25 * time.Second)
			if got := l.n.streams[kubelet.StreamAPI].to; got != before || len(api.got) != pending {
				t.Errorf("stream did not last: %+v, was %+v\n%s", got, before, l.log())
			}
			e := l.n.neighbors.find(gatewayIP)
			if e == nil || e.mac != l.gateway.net.mac {
				t.Errorf("gateway's address was not learned: %+v", e)
			}
		})
	}
}

func TestAddressIsContested(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.client.net.address = boardIP
	l.client.sendARP(arp.OpRequest, broadcastMAC, gatewayIP)
	announced := false
	l.onFrame = func(toBoard bool, f []byte) bool {
		announced = announced || !toBoard && f[12] == byte(ethernet.TypeARP>>8) && f[13] == byte(ethernet.TypeARP&0xff)
		return true
	}
	l.run(time.Second)
	if !announced || !strings.Contains(l.log(), "Another host uses this board's address") {
		t.Errorf("announced: %v\n%s", announced, l.log())
	}
}

func TestAddressIsAsked(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	var answer []byte
	l.onFrame = func(toBoard bool, f []byte) bool {
		if !toBoard && f[13] == 6 {
			answer = append([]byte{}, f...)
		}
		return true
	}
	l.client.sendARP(arp.OpRequest, broadcastMAC, boardIP)
	l.until(time.Second, "ARP is answered", func() bool { return answer != nil })
	f, _ := arp.NewFrame(answer[ethernetSize:])
	mac, ip := f.Sender4()
	if *mac != boardMAC || *ip != boardIP || f.Operation() != arp.OpReply || [6]byte(answer[:6]) != l.client.net.mac {
		t.Errorf("answer is %v", f)
	}
}

// A host that probes for the board's address learns that it is taken (RFC 5227, section 2.1.1).
func TestAddressIsProbed(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	var answer []byte
	l.onFrame = func(toBoard bool, f []byte) bool {
		if !toBoard && f[13] == 6 {
			answer = bytes.Clone(f)
		}
		return true
	}
	own := l.client.net.address
	l.client.net.address = nobody
	l.client.sendARP(arp.OpRequest, broadcastMAC, boardIP)
	l.client.net.address = own
	l.until(time.Second, "the probe is answered", func() bool { return answer != nil })
	f, _ := arp.NewFrame(answer[ethernetSize:])
	mac, ip := f.Sender4()
	if *mac != boardMAC || *ip != boardIP || f.Operation() != arp.OpReply || [6]byte(answer[:6]) != l.client.net.mac {
		t.Errorf("answer is %v", f)
	}
	if strings.Contains(l.log(), "Another host uses") {
		t.Errorf("a probe is no conflict:\n%s", l.log())
	}
}
