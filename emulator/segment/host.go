// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
)

const (
	nic = 1
	// queued bounds the frames that wait for WriteNotify, which takes them at once.
	queued = 256
	// maxHandshakes bounds the connections that stations open at the same time.
	maxHandshakes = 64
	// receiveWindow bounds the bytes that wait in a connection for the host's peer.
	receiveWindow = 64 << 10
	// minRTO is the least retransmission time, RFC 6298 section 2.4. An emulated
	// board is slower than the host's time.
	minRTO = tcpip.TCPMinRTOOption(time.Second)
)

// startStack makes the host: ARP and ping for its own address, and TCP.
func (s *Segment) startStack() error {
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})
	s.link = channel.New(queued, mtu, tcpip.LinkAddress(hostMAC[:]))
	s.link.AddNotify(s)
	rto := minRTO
	if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &rto); err != nil {
		return fmt.Errorf("segment: %s", err)
	}
	if err := s.stack.CreateNIC(nic, ethernet.New(s.link)); err != nil {
		return fmt.Errorf("segment: %s", err)
	}
	address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFrom4(s.addr.As4()), PrefixLen: s.config.Subnet.Bits(),
	}}
	if err := s.stack.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("segment: address %s: %s", s.addr, err)
	}
	s.stack.SetRouteTable([]tcpip.Route{{Destination: address.AddressWithPrefix.Subnet(), NIC: nic}})
	forwarder := tcp.NewForwarder(s.stack, receiveWindow, maxHandshakes, s.accept)
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forwarder.HandlePacket)
	return nil
}

// inject gives a frame to the host.
func (s *Segment) inject(data []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(data)})
	defer p.DecRef()
	s.link.InjectInbound(header.IPv4ProtocolNumber, p) // the Ethernet header says what it is
}

var _ channel.Notification = (*Segment)(nil)

// WriteNotify is called by the host's TCP/IP stack when it has a frame to send.
func (s *Segment) WriteNotify() {
	for p := s.link.Read(); p != nil; p = s.link.Read() {
		s.say(p.ToView().AsSlice())
		p.DecRef()
	}
}

// Dial opens a TCP connection from the host to a station.
func (s *Segment) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !s.config.Subnet.Contains(to.Addr()) || to.Addr() == s.addr {
		return nil, fmt.Errorf("segment: dial %s: no station of %s has this address", to, s.config.Subnet)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(errClosed) })()
	target := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()}
	c, err := gonet.DialContextTCP(ctx, s.stack, target, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("segment: dial %s: %w", to, errors.Join(err, context.Cause(ctx)))
	}
	return c, nil
}

var errClosed = errors.New("the segment is closed")
