// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	wiredhcp "github.com/soypat/lneto/dhcp/dhcpv4"

	"github.com/picolet/picolet/board"
)

const (
	discover = wiredhcp.MsgDiscover
	request  = wiredhcp.MsgRequest
)

func TestRouterIsMended(t *testing.T) {
	t.Parallel()
	elsewhere := "10.9.8.7:8080" // through the router
	tests := map[string]struct {
		router, mask [4]byte
		want         string
	}{
		"right":            {gatewayIP, [4]byte{255, 255, 255, 0}, ""},
		"zero":             {nobody, [4]byte{255, 255, 255, 0}, "router=0.0.0.0 instead=192.0.2.1"},
		"other network":    {[4]byte{192, 168, 4, 1}, [4]byte{255, 255, 255, 0}, "router=192.168.4.1 instead=192.0.2.1"},
		"the board":        {boardIP, [4]byte{255, 255, 255, 0}, "router=192.0.2.16 instead=192.0.2.1"},
		"broadcast":        {[4]byte{192, 0, 2, 255}, [4]byte{255, 255, 255, 0}, "router=192.0.2.255 instead=192.0.2.1"},
		"no mask":          {gatewayIP, nobody, ""},
		"mask with a hole": {gatewayIP, [4]byte{255, 0, 255, 0}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, elsewhere)
			l.dhcp.router, l.dhcp.mask = tt.router, tt.mask
			l.gateway.net.address = [4]byte{10, 9, 8, 7} // the API server is behind the router
			router := newHost(l, gatewayIP, l.gateway.net.mac)
			l.client = router
			l.up()
			if got := strings.Contains(l.log(), "Invalid router in DHCP offer"); got != (tt.want != "") || !strings.Contains(l.log(), tt.want) {
				t.Errorf("log should tell %q:\n%s", tt.want, l.log())
			}
		})
	}
}

func TestServerIsSilent(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.dhcp.silent = true
	l.n.LinkUp(0)
	l.run(10 * time.Minute)
	if l.n.State() != board.NetworkNoAddress {
		t.Fatalf("state is %v", l.n.State())
	}
	if n := len(l.dhcp.asked); n < 10 || n > 20 {
		t.Errorf("asked %d times in ten minutes: %v", n, l.dhcp.times)
	}
	for i, at := range l.dhcp.times[1:] {
		if gap := at - l.dhcp.times[i]; gap < 700*time.Millisecond || gap > 80*time.Second {
			t.Errorf("gap of %v before question %d", gap, i+1)
		}
	}
	l.dhcp.silent = false
	l.until(90*time.Second, "the node is registered", l.registered)
}

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.dhcp.nak = true
	l.n.LinkUp(0)
	l.run(2 * time.Minute)
	if n := len(l.dhcp.asked); n < 8 || n > 30 {
		t.Errorf("asked %d times in two minutes", n)
	}
	l.dhcp.nak = false
	l.until(90*time.Second, "the node is registered", l.registered)
}

func TestLeaseIsKept(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(time.Hour)
	if want := []wiredhcp.MessageType{discover, request, request, request}; !slices.Equal(l.dhcp.asked[:len(want)], want) {
		t.Errorf("asked %v at %v", l.dhcp.asked, l.dhcp.times)
	}
	if at := l.dhcp.times[2]; at < 30*time.Minute || at > 31*time.Minute {
		t.Errorf("renewed at %v, of a lease of an hour", at)
	}
	if l.dhcp.unicast < 1 || l.n.state.Begun[board.NetworkUp] != 1 {
		t.Errorf("%d messages to the server alone, state began %v", l.dhcp.unicast, l.n.state.Begun)
	}
}

func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.dhcp.silent = true
	l.run(time.Hour - time.Second)
	if l.n.State() != board.NetworkUp {
		t.Fatalf("state is %v before the end of the lease", l.n.State())
	}
	rebound := len(l.dhcp.asked) - 2 - l.dhcp.unicast
	if l.dhcp.unicast < 3 || rebound < 2 {
		t.Errorf("asked the server %d times and everybody %d times", l.dhcp.unicast, rebound)
	}
	l.run(2 * time.Second)
	if l.n.State() != board.NetworkNoAddress || !strings.Contains(l.log(), "the address's lease has ended") {
		t.Fatalf("state is %v after the end of the lease:\n%s", l.n.State(), l.log())
	}
	l.dhcp.silent = false
	l.until(2*time.Minute, "the gateway is reached", func() bool { return l.n.State() == board.NetworkUp })
}

func TestAddressChanges(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.dhcp.address = [4]byte{192, 0, 2, 17}
	l.run(31 * time.Minute)
	l.until(time.Minute, "the gateway is reached from the new address", func() bool {
		return l.n.address == l.dhcp.address && l.n.connected()
	})
}

func TestLinkFlaps(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	for round := range 10 {
		l.n.LinkDown(l.now)
		l.flying = nil
		l.gateway.conns = nil
		sent := l.sent
		l.run(time.Minute)
		if l.sent != sent {
			t.Fatalf("round %d: %d frames sent while the link is down", round, l.sent-sent)
		}
		asked := len(l.dhcp.asked)
		l.n.LinkUp(l.now)
		l.until(20*time.Second, "the gateway is reached", l.n.connected)
		if got := l.dhcp.asked[asked:]; len(got) != 1 || got[0] != request {
			t.Errorf("round %d: asked %v for the address it had", round, got)
		}
	}
	if got := l.n.state.Begun; got[board.NetworkUp] != 11 || got[board.NetworkOff] != 10 {
		t.Errorf("states began %v", got)
	}
}

func TestLastAddressIsRefused(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.n.LinkDown(l.now)
	l.dhcp.nak = true
	l.onFrame = func(toBoard bool, _ []byte) bool {
		l.dhcp.nak = l.dhcp.nak && len(l.dhcp.asked) < 3
		return true
	}
	l.n.LinkUp(l.now)
	l.until(20*time.Second, "the gateway is reached", l.n.connected)
	if want := []wiredhcp.MessageType{request, discover, request}; !slices.Equal(l.dhcp.asked[2:], want) {
		t.Errorf("asked %v, want %v", l.dhcp.asked[2:], want)
	}
}
