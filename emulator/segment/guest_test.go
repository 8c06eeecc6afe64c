// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/picolet/picolet/emulator/segment"
)

const patience = 10 * time.Second

// station records what it hears.
type station struct {
	mac  [6]byte
	port *segment.Port

	mu      sync.Mutex
	frames  [][]byte
	debts   []bool
	changed chan struct{}
}

func (s *station) Receive(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frame)
	s.wake()
}

func (s *station) Owes(owes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.debts = append(s.debts, owes)
	s.wake()
}

func (s *station) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func attach(s *segment.Segment, last byte) *station {
	st := &station{mac: [6]byte{2, 0, 0, 0, 1, last}, changed: make(chan struct{})}
	st.port = s.Attach(st)
	return st
}

// heard takes the frames that have come.
func (s *station) heard() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.frames
	s.frames = nil
	return frames
}

// wait waits until cond holds, which is asked under the station's lock.
func (s *station) wait(t *testing.T, cond func() bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		s.mu.Lock()
		met, changed := cond(), s.changed
		s.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatal("nothing more came")
		}
	}
}

// guest is a station with a TCP/IP stack of its own.
type guest struct {
	port  *segment.Port
	stack *stack.Stack
	link  *channel.Endpoint
	addr  netip.Addr

	mu    sync.Mutex
	debts []bool
	mute  bool // what it says is lost
}

// newGuest attaches a station with the address 10.42.0.last.
func newGuest(t *testing.T, s *segment.Segment, last byte) *guest {
	t.Helper()
	g := &guest{addr: netip.AddrFrom4([4]byte{10, 42, 0, last})}
	g.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})
	g.link = channel.New(256, 1500, tcpip.LinkAddress([]byte{2, 0, 0, 0, 2, last}))
	if err := g.stack.CreateNIC(1, ethernet.New(g.link)); err != nil {
		t.Fatal(err)
	}
	prefix := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(g.addr.As4()), PrefixLen: 24}
	protocol := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: prefix}
	if err := g.stack.AddProtocolAddress(1, protocol, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	g.stack.SetRouteTable([]tcpip.Route{{Destination: prefix.Subnet(), NIC: 1}})
	g.port = s.Attach(g)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for p := g.link.ReadContext(ctx); p != nil; p = g.link.ReadContext(ctx) {
			if !g.isMute() {
				g.port.Send(p.ToView().AsSlice())
			}
			p.DecRef()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended; g.port.Detach(); g.link.Close(); g.stack.Destroy() })
	return g
}

func (g *guest) Receive(frame []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer p.DecRef()
	g.link.InjectInbound(header.IPv4ProtocolNumber, p)
}

func (g *guest) Owes(owes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.debts = append(g.debts, owes)
}

func (g *guest) owes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.debts) > 0 && g.debts[len(g.debts)-1]
}

func (g *guest) setMute(mute bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mute = mute
}

func (g *guest) isMute() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mute
}

// dial opens a connection to the segment's host.
func (g *guest) dial(t *testing.T, port uint16) (*gonet.TCPConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	to := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4([4]byte{10, 42, 0, 1}), Port: port}
	return gonet.DialContextTCP(ctx, g.stack, to, ipv4.ProtocolNumber)
}

func (g *guest) mustDial(t *testing.T, port uint16) *gonet.TCPConn {
	t.Helper()
	c, err := g.dial(t, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// listen listens at the guest.
func (g *guest) listen(t *testing.T, port uint16) net.Listener {
	t.Helper()
	l, err := gonet.ListenTCP(g.stack, tcpip.FullAddress{NIC: 1, Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func newSegment(t *testing.T, c segment.Config) *segment.Segment {
	t.Helper()
	s, err := segment.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// peer listens on this machine; accepted connections come from the channel.
func peer(t *testing.T) (addr string, accepted <-chan *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *net.TCPConn, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			conns <- c.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), conns
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for limit := time.Now().Add(patience); !cond(); <-ticker.C {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
