// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/soypat/lneto/ethernet"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// Who is who on a lan.
var (
	boardMAC  = [6]byte{0x02, 0, 0, 0, 0, 0x10}
	boardIP   = [4]byte{192, 0, 2, 16}
	gatewayIP = [4]byte{192, 0, 2, 1} // router, DHCP, DNS and API server in one
	clientIP  = [4]byte{192, 0, 2, 99}
	nobody    = [4]byte{}
)

// lan is an Ethernet in virtual time: the board under test, and hosts that a
// test scripts.
type lan struct {
	t     testing.TB
	now   time.Duration
	n     *Network
	k     *kubelet.Kubelet
	board *testBoard
	buf   [MaxFrame]byte

	gateway, client *host
	dhcp            dhcpServer
	dns             dnsServer

	seed    *rand.PCG
	rand    *rand.Rand
	loss    float64 // part of frames that are lost, and as many that come twice or late
	delay   time.Duration
	flying  []flight
	sent    int // frames of the board
	polls   int
	onFrame func(toBoard bool, frame []byte) bool // Optional: false drops it
}

// flight is a frame on its way.
type flight struct {
	at      time.Duration
	toBoard bool
	frame   []byte
}

type testBoard struct{ led bool }

func (*testBoard) Read(time.Duration, *board.Readings) {}
func (b *testBoard) SetLED(on bool)                    { b.led = on }
func (b *testBoard) LED() bool                         { return b.led }

// newLAN makes a lan whose board is switched on, with its link still down.
func newLAN(t testing.TB, gateway string) *lan {
	t.Helper()
	l := &lan{t: t, board: new(testBoard), k: new(kubelet.Kubelet), delay: time.Millisecond, seed: rand.NewPCG(1, 2)}
	l.rand = rand.New(l.seed)
	l.gateway = newHost(l, gatewayIP, [6]byte{0x02, 0, 0, 0, 0, 1})
	l.client = newHost(l, clientIP, [6]byte{0x02, 0, 0, 0, 0, 99})
	l.dhcp = dhcpServer{lan: l, host: l.gateway, router: gatewayIP, mask: [4]byte{255, 255, 255, 0}, dns: gatewayIP, address: boardIP, lease: 3600}
	l.gateway.dhcp = &l.dhcp
	l.dns = dnsServer{lan: l}
	l.gateway.dns = &l.dns
	l.gateway.serve = newAPI().answer
	err := l.k.Configure(kubelet.Config{
		NodeName: "pico-1", Host: "gateway", Version: "v1.37.2", Seed: 7,
		Board: board.Board{Facts: board.Facts{Model: "rp2040", ID: "e6614"}, Sensors: l.board, LED: l.board},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.n, err = New(Config{Kubelet: l.k, MAC: boardMAC, Hostname: "pico-1", Gateway: gateway, Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	l.k.Start(0)
	return l
}

// up brings the link up and runs until the node is registered.
func (l *lan) up() *lan {
	l.t.Helper()
	l.n.LinkUp(l.now)
	l.until(30*time.Second, "the node is registered", l.registered)
	return l
}

func (l *lan) registered() bool { return strings.Contains(l.log(), "Node registered") }

// until runs until ok holds, at most for limit.
func (l *lan) until(limit time.Duration, what string, ok func() bool) {
	l.t.Helper()
	for end := l.now + limit; !ok(); {
		if !l.step(end) {
			l.t.Fatalf("%v after %v: not yet: %s\nstate %v\n%s", l.now, limit, what, l.n.State(), l.log())
		}
	}
}

// run lets d pass.
func (l *lan) run(d time.Duration) {
	for end := l.now + d; l.step(end); {
	}
}

// step runs the board and goes on to the next time at which something happens;
// false: that is not before end.
func (l *lan) step(end time.Duration) bool {
	wake := l.runBoard()
	l.gateway.poll()
	l.client.poll()
	next := min(wake, l.gateway.wake(), l.client.wake())
	for i := range l.flying {
		next = min(next, l.flying[i].at)
	}
	if next = max(next, l.now); next > end {
		l.now = end
		return false
	}
	l.now = next
	l.land()
	return true
}

// runBoard does what the firmware's loop does.
func (l *lan) runBoard() time.Duration {
	l.polls++
	l.n.Poll(l.now)
	for i := 0; ; i++ {
		size := l.n.Next(l.now, l.buf[:])
		if size == 0 {
			break
		}
		l.sent++
		l.fly(false, l.buf[:size])
		if i > 1000 {
			l.t.Fatal("Next does not come to an end")
		}
	}
	wake := l.n.Poll(l.now)
	if wake <= l.now {
		l.t.Fatalf("%v: Poll wants to be called at %v: the board would never sleep", l.now, wake)
	}
	return wake
}

// fly sends a frame on its way, with the faults that are set.
func (l *lan) fly(toBoard bool, frame []byte) {
	if l.onFrame != nil && !l.onFrame(toBoard, frame) || l.rand.Float64() < l.loss {
		return
	}
	at := l.now + l.delay
	if l.rand.Float64() < l.loss {
		at += time.Duration(l.rand.IntN(10)) * l.delay
	}
	l.flying = append(l.flying, flight{at, toBoard, bytes.Clone(frame)})
	if l.rand.Float64() < l.loss {
		l.flying = append(l.flying, flight{at + l.delay, toBoard, bytes.Clone(frame)})
	}
}

// land delivers the frames whose time has come.
func (l *lan) land() {
	const batch = 8 // frames that the firmware takes before it sends again
	due, taken := l.flying, 0
	l.flying = nil
	for _, f := range due {
		if taken == batch {
			l.runBoard()
			taken = 0
		}
		switch {
		case f.at > l.now:
			l.flying = append(l.flying, f)
		case f.toBoard:
			l.n.Receive(l.now, f.frame)
			taken++
		default:
			l.receive(f.frame)
		}
	}
}

// receive gives a frame of the board to who it is for.
func (l *lan) receive(frame []byte) {
	f, err := ethernet.NewFrame(frame)
	if err != nil || *f.SourceHardwareAddr() != boardMAC {
		l.t.Fatalf("board sent a frame that is none: %x", frame)
	}
	body := frame[ethernetSize:]
	for _, h := range []*host{l.gateway, l.client} {
		to := *f.DestinationHardwareAddr()
		if to != h.net.mac && to[0]&1 == 0 || h.off {
			continue
		}
		if f.EtherTypeOrSize() == ethernet.TypeARP {
			h.receiveARP(body)
			continue
		}
		p, ok := readPacket(body)
		if !ok {
			l.t.Fatalf("board sent a packet that is broken: %x", body)
		}
		p.mac = *f.SourceHardwareAddr()
		h.receive(&p)
	}
}

// log is the kubelet's log.
func (l *lan) log() string {
	var b []byte
	for cursor := uint64(0); ; {
		e, ok := l.k.Log().Next(cursor)
		if !ok {
			return string(b)
		}
		cursor = e.Seq
		b = append(e.AppendText(b), '\n')
	}
}
