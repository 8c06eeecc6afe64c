// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"strings"
	"testing"
	"time"

	wiredhcp "github.com/soypat/lneto/dhcp/dhcpv4"

	"github.com/picolet/picolet/board"
)

// A lease that runs is kept when no DHCP server answers after the link was lost,
// as long as a neighbor shows that the network is the same.
func TestLeaseWithoutServer(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.n.LinkDown(l.now)
	l.flying, l.gateway.conns, l.dhcp.silent = nil, nil, true
	l.run(time.Minute)
	asked := len(l.dhcp.asked)
	l.n.LinkUp(l.now)
	l.until(5*time.Second, "the gateway is reached", l.n.connected)
	l.run(10 * time.Minute)
	if !l.n.connected() || l.n.address != boardIP {
		t.Fatalf("address %v, connected: %v\n%s", l.n.address, l.n.connected(), l.log())
	}
	for _, kind := range l.dhcp.asked[asked:] {
		if kind != request {
			t.Errorf("asked %v", l.dhcp.asked[asked:])
			break
		}
	}
	if n := len(l.dhcp.asked) - asked; n < 10 || n > 20 {
		t.Errorf("the server was asked %d times in ten minutes", n)
	}
	l.run(l.dhcp.times[1] + time.Hour - l.now - time.Second)
	if l.n.State() != board.NetworkUp {
		t.Errorf("state is %v before the end of the lease", l.n.State())
	}
	l.run(2 * time.Second)
	if l.n.State() != board.NetworkNoAddress {
		t.Errorf("state is %v after the end of the lease", l.n.State())
	}
}

// The same lease goes on to hold when the server is back.
func TestLeaseWithoutServerForAWhile(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.n.LinkDown(l.now)
	l.flying, l.gateway.conns, l.dhcp.silent = nil, nil, true
	l.n.LinkUp(l.now)
	l.until(5*time.Second, "the gateway is reached", l.n.connected)
	l.run(30 * time.Minute)
	l.dhcp.silent = false
	l.run(90 * time.Second)
	to := l.n.streams[0].to
	asked := len(l.dhcp.asked)
	l.run(20 * time.Minute)
	if len(l.dhcp.asked) != asked || l.n.streams[0].to != to || l.n.state.Begun[board.NetworkUp] != 2 {
		t.Errorf("asked %v at %v; states began %v", l.dhcp.asked, l.dhcp.times, l.n.state.Begun)
	}
}

// Without that neighbor, or with another in its place, the address is not used.
func TestLeaseOfAnotherNetwork(t *testing.T) {
	t.Parallel()
	tests := map[string]func(l *lan){
		"no answer":        func(l *lan) { l.gateway.off = true },
		"another hardware": func(l *lan) { l.gateway.net.mac[5] = 0x77 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			l.n.LinkDown(l.now)
			l.flying, l.dhcp.silent = nil, true
			change(l)
			var to []byte
			l.onFrame = func(toBoard bool, f []byte) bool {
				if !toBoard && f[13] == 6 {
					to = bytes.Clone(f[:6])
				}
				return true
			}
			l.n.LinkUp(l.now)
			l.run(5 * time.Minute)
			if l.n.State() != board.NetworkNoAddress || l.n.address != nobody {
				t.Errorf("state %v, address %v", l.n.State(), l.n.address)
			}
			if len(to) == 0 || to[0]&1 != 0 {
				t.Errorf("the neighbor was asked at %x, want its own address", to)
			}
		})
	}
}

// move puts the gateway, the servers and the board's next lease on another
// subnet, as behind an access point that stays up.
func (l *lan) move() {
	l.gateway.net.address = [4]byte{198, 51, 100, 1}
	l.dhcp.address, l.dhcp.router, l.dhcp.dns = [4]byte{198, 51, 100, 16}, l.gateway.net.address, l.gateway.net.address
	l.dns.addresses = [][4]byte{l.gateway.net.address}
	l.gateway.conns = nil
}

// It makes no difference whether the new subnet's server refuses a request for an
// address of another subnet, or ignores it.
func TestSubnetChanges(t *testing.T) {
	t.Parallel()
	for name, nak := range map[string]bool{"server is silent": false, "server refuses": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "picolet.example.org:8080")
			l.dns.addresses, l.dns.ttl, l.dhcp.lease = [][4]byte{gatewayIP}, 60, 86400
			l.up()
			l.run(time.Hour)
			l.move()
			l.dhcp.strict, l.dhcp.careful = nak, !nak
			begin := l.now
			l.until(5*time.Minute, "the gateway is reached from the new subnet", func() bool {
				return l.n.address == l.dhcp.address && l.n.connected()
			})
			t.Logf("after %v", l.now-begin)
		})
	}
}

// A gateway whose name is not found may be known to another name server by now.
// Meanwhile the board gets frames of its own, too: without, package wifi takes the
// network for silent after 5 minutes.
func TestNameServerMoves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		gateway string
		servers [4]byte
		moves   bool
	}{
		"to another host": {"picolet.example.org:8080", gatewayIP, true},
		"from none":       {"picolet.example.org:8080", nobody, true},
		"mDNS":            {"picolet.local:8080", gatewayIP, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, tt.gateway)
			l.dhcp.lease, l.dhcp.dns, l.dns.silent = 86400, tt.servers, true
			last, silence := time.Duration(0), time.Duration(0)
			l.onFrame = func(toBoard bool, f []byte) bool {
				if toBoard {
					silence, last = max(silence, l.now-last), l.now
				}
				return true
			}
			l.n.LinkUp(0)
			l.run(time.Hour)
			if silence = max(silence, l.now-last); silence > 4*time.Minute {
				t.Errorf("no frame came for %v", silence)
			}
			if tt.moves {
				l.client.dns = &dnsServer{lan: l, addresses: [][4]byte{gatewayIP}, ttl: 60}
				l.dhcp.dns = clientIP
				l.until(3*time.Minute, "the node is registered", l.registered)
			}
		})
	}
}

// While only the gateway is off, DHCP is asked now and then, and the address stays.
func TestGatewayOffIsNoOtherSubnet(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.99:8080")
	l.client.serve = l.gateway.serve
	l.up()
	l.client.off = true
	asked := len(l.dhcp.asked)
	l.run(20 * time.Minute)
	if n := len(l.dhcp.asked) - asked; n < 10 || n > 50 {
		t.Errorf("DHCP was asked %d times in 20 minutes", n)
	}
	if l.n.address != boardIP || l.n.state.Begun[board.NetworkNoAddress] != 1 {
		t.Errorf("address %v, states began %v", l.n.address, l.n.state.Begun)
	}
	l.dhcp.silent = true
	l.run(10 * time.Minute)
	if l.n.address != boardIP {
		t.Errorf("address is %v while the server is silent, too", l.n.address)
	}
	l.client.off, l.client.conns = false, nil
	l.until(time.Minute, "the gateway is reached", l.n.connected)
	asked = len(l.dhcp.asked)
	l.run(5 * time.Minute)
	for _, kind := range l.dhcp.asked[asked:] {
		if kind == discover {
			t.Errorf("another lease is searched for although the gateway is reached: %v", l.dhcp.asked[asked:])
			break
		}
	}
}

// A router off the subnet is asked for on the link, as on networks that give
// each host a subnet of its own; if it does not answer, another is used.
func TestRouterOffTheSubnet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mask, router [4]byte
		want         string // in the log
	}{
		"subnet of one host": {[4]byte{255, 255, 255, 255}, gatewayIP, ""},
		"on the link":        {[4]byte{255, 255, 255, 240}, gatewayIP, ""},
		"not on the link":    {[4]byte{255, 255, 255, 0}, [4]byte{192, 168, 4, 1}, "Invalid router in DHCP offer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "10.9.8.7:8080")
			l.dhcp.router, l.dhcp.mask = tt.router, tt.mask
			l.gateway.net.address = [4]byte{10, 9, 8, 7} // the API server is behind the router
			l.client = newHost(l, gatewayIP, l.gateway.net.mac)
			l.up()
			l.run(2 * time.Hour)
			if got := strings.Count(l.log(), "Invalid router"); got != strings.Count(tt.want, "Invalid router") {
				t.Errorf("log should have %q once:\n%s", tt.want, l.log())
			}
			if l.n.state.Begun[board.NetworkUp] != 1 {
				t.Errorf("states began %v", l.n.state.Begun)
			}
		})
	}
}

// On a network without a router no other host is taken for one, without a warning.
func TestNoRouter(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.dhcp.omit = []wiredhcp.OptNum{wiredhcp.OptRouter}
	l.up()
	if lease, _ := l.n.dhcp.Lease(); lease.Router != nobody || strings.Contains(l.log(), "outer in DHCP") {
		t.Errorf("router %v\n%s", lease.Router, l.log())
	}
}

// While the gateway is off, another server that answers first does not take the
// board over from the one whose lease it has.
func TestGatewayOffAndRogueServer(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.50:8080")
	l.dhcp.slow = 3 * time.Millisecond
	l.n.LinkUp(0)
	l.run(time.Minute)
	l.client.dhcp = &dhcpServer{lan: l, host: l.client, address: [4]byte{192, 0, 2, 66}, lease: 3600, mask: l.dhcp.mask, router: clientIP, dns: clientIP}
	l.run(20 * time.Minute)
	if l.n.address != boardIP || len(l.client.dhcp.asked) == 0 {
		t.Errorf("address %v, the rogue server was asked %d times", l.n.address, len(l.client.dhcp.asked))
	}
}
