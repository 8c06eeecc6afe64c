// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"math"
	"time"

	"github.com/soypat/lneto/tcp"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/network/dhcp"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/linked"
)

// MaxFrame is the size of the largest frame in bytes, without the frame check
// sequence.
const MaxFrame = 1514

// The groups that the network interface must receive beside its own address and
// broadcasts.
var (
	MulticastMAC = [6]byte{0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb} // of mDNS
	AllHostsMAC  = [6]byte{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01} // of IGMP's queries
)

const (
	never       = time.Duration(math.MaxInt64)
	kubeletPort = 10250
	resetTime   = time.Second // how long a reboot waits for what is still to be sent
)

// Errors of New.
var (
	ErrKubelet  = errors.New("network: Kubelet: bring one that is configured")
	ErrMAC      = errors.New("network: MAC: must be the address of one interface, not zero and not of a group")
	ErrHostname = errors.New("network: Hostname: must be a DNS name of 1 to 63 bytes")
	ErrGateway  = errors.New("network: Gateway: must be host:port, the host a DNS name of up to 100 bytes or an IPv4 address")
	ErrSeed     = errors.New("network: Seed: must be entropy, not zero")
)

// Config is what a Network must know. Strings are kept, not copied.
type Config struct {
	Kubelet  Kubelet // Required: configured; the caller starts it, the Network gives it all other inputs
	MAC      [6]byte // Required: address of the network interface
	Hostname string  // Required: the node's name; told to DHCP, and <Hostname>.local by mDNS
	Gateway  string  // Required: host:port to which the kubelet's streams lead
	Port     uint16  // Optional [10250]: the kubelet port
	NoPort   bool    // Optional [false]: no TCP port is open, as clients of the kubelet port come another way
	Seed     uint64  // Required: entropy that differs from boot to boot, for ports and sequence numbers
}

// Kubelet is what a Network drives: a *kubelet.Kubelet, or a *linked.Kubelet, which
// puts all streams of one into one. See there for what the methods mean. It is
// larger than an interface should be, because it is the whole of the machine's inputs
// and outputs.
type Kubelet interface {
	Tick(now time.Duration)
	Opened(now time.Duration, s kubelet.Stream)
	Closed(now time.Duration, s kubelet.Stream, cause error)
	Receive(now time.Duration, s kubelet.Stream, p []byte) int
	Accept(now time.Duration) (kubelet.Stream, bool)
	Pending(s kubelet.Stream) []byte
	Sent(now time.Duration, s kubelet.Stream, n int)
	SetAddress(now time.Duration, ip string)
	Output() kubelet.Output
	Record(now time.Duration, l logring.Level, message string) *logring.Record
}

var (
	_ Kubelet = (*kubelet.Kubelet)(nil)
	_ Kubelet = (*linked.Kubelet)(nil)
)

// Network is a kubelet's way to its gateway. Make it by New.
type Network struct {
	k           Kubelet
	mac         [6]byte
	port        uint16 // 0: none is open
	gatewayPort uint16
	random      random

	up         bool // the link
	address    [4]byte
	dhcp       dhcp.Client
	neighbors  neighbors
	witness    witness
	rechecked  time.Duration // when DHCP was asked whether the address is still right
	resolver   resolver
	mdns       responder
	membership membership

	streams [kubelet.NumStreams]slot
	lingers [maxLinger]slot
	refused refusals
	cookies tcp.SYNCookieJar
	echo    echo

	wake    time.Duration // when the kubelet is to be ticked
	resetAt time.Duration // when to reboot at the latest; never: no reboot asked
	state   board.NetworkReadings
}

var _ board.Network = (*Network)(nil)

// New claims the memory of a Network whose link is down.
func New(c Config) (*Network, error) {
	if c.Kubelet == nil {
		return nil, ErrKubelet
	}
	if c.MAC == ([6]byte{}) || c.MAC[0]&1 != 0 {
		return nil, ErrMAC
	}
	if !validName(c.Hostname, 63) {
		return nil, ErrHostname
	}
	if c.Seed == 0 {
		return nil, ErrSeed
	}
	n := &Network{k: c.Kubelet, mac: c.MAC, port: c.Port, random: random(c.Seed), resetAt: never}
	switch {
	case c.NoPort:
		n.port = 0
	case n.port == 0:
		n.port = kubeletPort
	}
	if !n.setGateway(c.Gateway) {
		return nil, ErrGateway
	}
	n.dhcp.MAC, n.dhcp.Hostname = c.MAC, c.Hostname
	n.dhcp.Stop()
	n.mdns.name = c.Hostname
	n.mdns.stop()
	n.membership.leave()
	if err := n.cookies.Reset(tcp.SYNCookieConfig{Rand: &n.random, MaxCounterDelta: cookieLife}); err != nil {
		return nil, err
	}
	return n, nil
}

// LinkUp tells that frames can pass: an address is asked for, first of all the
// last one while its lease runs.
func (n *Network) LinkUp(now time.Duration) {
	if n.up {
		return
	}
	n.up = true
	n.dhcp.Start(now, uint32(n.random.next()))
	n.witness.ask = true
	n.enter(now, board.NetworkNoAddress, nil)
}

// LinkDown tells that no frame can pass: all streams end.
func (n *Network) LinkDown(now time.Duration) {
	if !n.up {
		return
	}
	n.up = false
	n.dhcp.Stop()
	n.loseAddress(now, errLinkDown)
	n.enter(now, board.NetworkOff, errLinkDown)
}

// Poll does what time asks for, and returns the time since boot at which it
// must be called again if no frame comes before. What it wants to send, Next
// returns: the time holds once Next has returned 0.
func (n *Network) Poll(now time.Duration) (wake time.Duration) {
	if now >= n.wake {
		n.k.Tick(now)
		n.obey(now)
	}
	n.pollLease(now)
	n.pollNeighbors(now)
	n.resolver.poll(now)
	n.mdns.poll(now)
	n.pollStreams(now)
	return n.nextWake()
}

func (n *Network) nextWake() time.Duration {
	t := min(n.wake, n.resetAt)
	if !n.up {
		return t
	}
	t = min(t, n.dhcp.Wake(), n.neighbors.wake(), n.resolver.wake(), n.mdns.wake(), n.membership.at)
	for i := range n.streams {
		t = min(t, n.streams[i].wake())
	}
	for i := range n.lingers {
		t = min(t, n.lingers[i].wake())
	}
	return t
}

// ResetDue tells whether the board is to be rebooted now: the kubelet has asked
// for it, and all is sent or a second has gone by.
func (n *Network) ResetDue(now time.Duration) bool {
	return n.resetAt != never && (now >= n.resetAt || n.quiet())
}

// quiet tells whether nothing is being sent.
func (n *Network) quiet() bool {
	for s := range n.streams {
		if c := &n.streams[s]; c.used() && (len(n.k.Pending(kubelet.Stream(s))) > 0 || c.finish) {
			return false
		}
	}
	for i := range n.lingers {
		if c := &n.lingers[i]; c.used() && !c.conn.Quiet() {
			return false
		}
	}
	return true
}
