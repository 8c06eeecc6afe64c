// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package segment is one Ethernet segment inside a process, for emulated boards: a
// switch, and a host on it that hands out addresses by DHCP, answers names by DNS,
// and forwards the TCP connections that boards open, port by port, to addresses of
// this machine that a table names.
//
// It needs no rights and opens no port: what runs on this machine reaches a board by
// Dial. It refuses to forward to anything but what the table names, it routes
// nothing, and it speaks IPv4 only.
package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Station is what stands at the far end of a port's cable. Its methods are called by
// several goroutines and must not block or call the segment.
type Station interface {
	// Receive takes an Ethernet frame without check sequence, of 14 to 1514 bytes.
	Receive(frame []byte)
	// Owes tells that the segment's debt has begun or ended: it owes an answer to
	// what the station has said over TCP, or has said something itself that the
	// station has not acknowledged. See Config.AnswerLimit.
	Owes(owes bool)
}

// Config describes a segment. The zero value is a segment that forwards nothing.
type Config struct {
	// Subnet is the host's address and the length of the segment's prefix, at least
	// /30. With the address of the subnet itself the host has the first one behind
	// it. Optional [10.42.0.0/24].
	Subnet netip.Prefix
	// Forward maps a TCP port of the host to the address, host:port, to which its
	// connections go. Optional [all are refused].
	Forward map[uint16]string
	// Names maps names that DNS knows to their addresses. Optional.
	Names map[string]netip.Addr
	// LeaseTime is the time of DHCP leases. Optional [1 h].
	LeaseTime time.Duration
	// AnswerLimit is how long an answer is owed at most. Optional [10 s].
	AnswerLimit time.Duration
	// Logger is told what a person should know. Optional [nothing is logged].
	Logger *slog.Logger
}

// Faults are what goes wrong at the segment's host. The zero value is none.
type Faults struct {
	// Deaf: the host hears and says nothing. Stations still hear each other.
	Deaf bool
	// NoDHCP: DHCP is not answered.
	NoDHCP bool
	// NoDNS: DNS is not answered.
	NoDNS bool
	// Router is given as router and DNS server by DHCP instead of the host.
	Router netip.Addr
}

var (
	defaultSubnet = netip.MustParsePrefix("10.42.0.0/24")
	hostMAC       = mac{0x02, 0, 0, 0, 0, 0x01}
)

const (
	defaultLeaseTime   = time.Hour
	defaultAnswerLimit = 10 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if c.Subnet == (netip.Prefix{}) {
		c.Subnet = defaultSubnet
	}
	if !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 30 {
		return c, fmt.Errorf("segment: subnet %s is not IPv4 of /30 or larger", c.Subnet)
	}
	if a := c.host(); !c.Subnet.Contains(a.Next()) {
		return c, fmt.Errorf("segment: the host cannot have %s, the broadcast address", a)
	}
	if c.LeaseTime < 0 || c.AnswerLimit < 0 {
		return c, errors.New("segment: LeaseTime and AnswerLimit cannot be negative")
	}
	if c.LeaseTime == 0 {
		c.LeaseTime = defaultLeaseTime
	}
	if c.AnswerLimit == 0 {
		c.AnswerLimit = defaultAnswerLimit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for port, target := range c.Forward {
		if err := checkTarget(port, target); err != nil {
			return c, err
		}
	}
	return c, nil
}

// host is the host's address.
func (c Config) host() netip.Addr {
	if a := c.Subnet.Addr(); a != c.Subnet.Masked().Addr() {
		return a
	}
	return c.Subnet.Addr().Next()
}

// Segment is one Ethernet segment. Its methods may be called by several goroutines.
type Segment struct {
	config Config
	addr   netip.Addr
	stack  *stack.Stack
	link   *channel.Endpoint
	faults atomic.Pointer[Faults]
	dhcp   dhcpServer
	ctx    context.Context
	cancel context.CancelFunc
	conns  connections

	mu      sync.Mutex
	ports   []*Port
	byMAC   map[mac]*Port
	byAddr  map[netip.Addr]*Port
	forward map[uint16]string
	mdns    []*mdnsQuery
}

// New makes a segment. Close ends it.
func New(c Config) (*Segment, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Segment{
		config: c, addr: c.host(),
		byMAC: map[mac]*Port{}, byAddr: map[netip.Addr]*Port{}, forward: map[uint16]string{},
	}
	for port, target := range c.Forward {
		s.forward[port] = target
	}
	s.faults.Store(&Faults{})
	s.dhcp = newDHCPServer(c.Subnet, s.addr, c.LeaseTime)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.startStack(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close resets all connections and ends the segment. Stations hear nothing more.
func (s *Segment) Close() error {
	s.cancel()
	s.mu.Lock()
	ports := slices.Clone(s.ports)
	s.mu.Unlock()
	for _, p := range ports {
		p.Detach()
	}
	s.conns.close()
	s.link.Close()
	s.stack.Destroy()
	return nil
}

// Addr is the host's address.
func (s *Segment) Addr() netip.Addr { return s.addr }

// SetFaults replaces the faults.
func (s *Segment) SetFaults(f Faults) { s.faults.Store(&f) }

// SetForward has connections to a port go to target, host:port, from now on; an
// empty target refuses them. Those that are open stay.
func (s *Segment) SetForward(port uint16, target string) error {
	if err := checkTarget(port, target); target != "" && err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == "" {
		delete(s.forward, port)
	} else {
		s.forward[port] = target
	}
	return nil
}

func checkTarget(port uint16, target string) error {
	if port == 0 {
		return errors.New("segment: port 0 cannot be forwarded")
	}
	if _, p, err := net.SplitHostPort(target); err != nil || p == "" {
		return fmt.Errorf("segment: port %d goes to %q, want host:port", port, target)
	}
	return nil
}

// LeaseOf returns the address that DHCP has given to a station.
func (s *Segment) LeaseOf(hardware [6]byte) (netip.Addr, bool) { return s.dhcp.leaseOf(hardware) }

// Port is a station's place at the switch.
type Port struct {
	segment *Segment
	station Station
	debts   debts
	gone    atomic.Bool
}

// Attach plugs a station in.
func (s *Segment) Attach(station Station) *Port {
	p := &Port{segment: s, station: station}
	p.debts.init(s.config.AnswerLimit, station.Owes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, p)
	return p
}

// Detach unplugs the station: it hears nothing more, and its connections are reset.
func (p *Port) Detach() {
	s := p.segment
	p.gone.Store(true)
	s.mu.Lock()
	s.ports = slices.DeleteFunc(s.ports, func(q *Port) bool { return q == p })
	for m, q := range s.byMAC {
		if q == p {
			delete(s.byMAC, m)
		}
	}
	var gone []netip.Addr
	for a, q := range s.byAddr {
		if q == p {
			gone = append(gone, a)
			delete(s.byAddr, a)
		}
	}
	s.mu.Unlock()
	for _, a := range gone {
		s.conns.abort(a)
	}
	p.debts.close()
}

// Send takes a frame from the station. When it returns, the segment has dealt with
// it, but for TCP, which Owes tells of. Frames of a wrong size are lost.
func (p *Port) Send(data []byte) {
	f, ok := parseFrame(data)
	if !ok || p.gone.Load() {
		return
	}
	p.learn(f)
	if f.dst == hostMAC || f.dst.isGroup() {
		p.segment.hear(p, f)
	}
	if f.dst != hostMAC {
		p.segment.forwardFrame(p, f)
	}
}

// learn notes where stations are, as a switch does.
func (p *Port) learn(f frame) {
	s := p.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byMAC) < maxStations && !f.src.isGroup() {
		s.byMAC[f.src] = p
	}
	if from := f.ip.src; len(s.byAddr) < maxStations && s.config.Subnet.Contains(from) && from != s.addr {
		s.byAddr[from] = p
	}
}

func (s *Segment) isAttached(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byAddr[a] != nil
}

// maxStations bounds what a station can make the switch remember.
const maxStations = 4096

// forwardFrame carries a frame from one station to the others, or from the host if
// from is nil.
func (s *Segment) forwardFrame(from *Port, f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to, known := s.byMAC[f.dst]; known && !f.dst.isGroup() {
		if to != from {
			to.deliver(f, from == nil)
		}
		return
	}
	for _, to := range s.ports {
		if to != from {
			to.deliver(f, from == nil)
		}
	}
}

func (p *Port) deliver(f frame, fromHost bool) {
	if fromHost {
		p.debts.toStation(f)
	}
	p.station.Receive(slices.Clone(f.data))
}

// hear is the host's ear.
func (s *Segment) hear(from *Port, f frame) {
	faults := s.faults.Load()
	switch {
	case faults.Deaf:
	case f.isUDP(dhcpServerPort):
		if !faults.NoDHCP {
			s.say(s.dhcp.answer(f.payload, faults.Router))
		}
	case f.isUDP(dnsPort):
		if !faults.NoDNS && f.ip.dst == s.addr {
			s.say(s.answerDNS(f))
		}
	case f.isUDP(mdnsPort):
		s.hearMDNS(f)
	default:
		if f.ip.dst == s.addr {
			from.debts.fromStation(f)
		}
		s.inject(f.data)
	}
}

// say sends a frame of the host, if there is one.
func (s *Segment) say(data []byte) {
	f, ok := parseFrame(data)
	if !ok || s.faults.Load().Deaf {
		return
	}
	s.forwardFrame(nil, f)
}
