// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const (
	dhcpServerPort = 67
	dhcpClientPort = 68
)

// dhcpServer hands out the addresses of a subnet but the host's, and remembers to whom. It is
// the rules of RFC 2131 section 4.3 for a server that never forgets a client.
type dhcpServer struct {
	subnet netip.Prefix
	host   netip.Addr
	time   time.Duration

	mu     sync.Mutex
	leases map[mac]netip.Addr
	taken  map[netip.Addr]bool // leased, or declined by a client
}

func newDHCPServer(subnet netip.Prefix, host netip.Addr, leaseTime time.Duration) dhcpServer {
	return dhcpServer{subnet: subnet.Masked(), host: host, time: leaseTime, leases: map[mac]netip.Addr{}, taken: map[netip.Addr]bool{host: true}}
}

func (s *dhcpServer) leaseOf(m mac) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.leases[m]
	return a, ok
}

// answer returns the frame that answers a client's message, nil for silence. A router
// that is set is given in place of the host.
func (s *dhcpServer) answer(payload []byte, router netip.Addr) []byte {
	request, err := dhcpv4.FromBytes(payload)
	if err != nil || request.OpCode != dhcpv4.OpcodeBootRequest || len(request.ClientHWAddr) != len(mac{}) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	client := mac(request.ClientHWAddr)
	switch request.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		if a, ok := s.offer(client); ok {
			return s.reply(request, dhcpv4.MessageTypeOffer, a, router)
		}
	case dhcpv4.MessageTypeRequest:
		return s.request(client, request, router)
	case dhcpv4.MessageTypeDecline:
		delete(s.leases, client) // its address stays taken, by whoever answers there
	case dhcpv4.MessageTypeInform:
		return s.reply(request, dhcpv4.MessageTypeAck, netip.Addr{}, router)
	}
	return nil
}

// offer finds the client's address, or a free one.
func (s *dhcpServer) offer(client mac) (netip.Addr, bool) {
	if a, ok := s.leases[client]; ok {
		return a, true
	}
	for a := s.subnet.Addr().Next(); s.subnet.Contains(a.Next()); a = a.Next() { // the last one is broadcast
		if !s.taken[a] {
			s.leases[client], s.taken[a] = a, true
			return a, true
		}
	}
	return netip.Addr{}, false
}

// request decides on a DHCPREQUEST: after an offer, after a reboot, or to renew.
func (s *dhcpServer) request(client mac, m *dhcpv4.DHCPv4, router netip.Addr) []byte {
	if id := m.ServerIdentifier(); id != nil && address(id) != s.host {
		return nil // it has chosen another server
	}
	asked := address(m.RequestedIPAddress())
	if !asked.IsValid() {
		asked = address(m.ClientIPAddr)
	}
	lease, known := s.leases[client]
	switch {
	case known && asked == lease:
		return s.reply(m, dhcpv4.MessageTypeAck, lease, router)
	case known, m.ServerIdentifier() != nil, !s.subnet.Contains(asked):
		return s.reply(m, dhcpv4.MessageTypeNak, netip.Addr{}, router)
	}
	return nil // it may be another server's client
}

// address is an address of four bytes; the zero Addr for none.
func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	if !a.IsValid() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func (s *dhcpServer) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, lease, router netip.Addr) []byte {
	options := []dhcpv4.Modifier{dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(s.host.AsSlice()), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.host.AsSlice()))}
	if kind != dhcpv4.MessageTypeNak {
		options = append(options, s.settings(router)...)
	}
	if lease.IsValid() {
		options = append(options, dhcpv4.WithYourIP(lease.AsSlice()), dhcpv4.WithLeaseTime(uint32(s.time.Seconds())))
	}
	answer, err := dhcpv4.NewReplyFromRequest(m, options...)
	if err != nil {
		return nil
	}
	d := datagram{
		to: broadcastMAC, src: netip.AddrPortFrom(s.host, dhcpServerPort),
		dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpClientPort), payload: answer.ToBytes(),
	}
	if to := destination(m, kind, lease); to.IsValid() {
		d.to, d.dst = mac(m.ClientHWAddr), netip.AddrPortFrom(to, dhcpClientPort)
	}
	return d.frame()
}

// destination is where an answer goes, the zero Addr for everybody: RFC 2131 section
// 4.1.
func destination(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, lease netip.Addr) netip.Addr {
	if kind == dhcpv4.MessageTypeNak {
		return netip.Addr{}
	}
	if client := address(m.ClientIPAddr); client.IsValid() {
		return client
	}
	if m.IsBroadcast() {
		return netip.Addr{}
	}
	return lease
}

func (s *dhcpServer) settings(router netip.Addr) []dhcpv4.Modifier {
	if !router.IsValid() {
		router = s.host
	}
	return []dhcpv4.Modifier{
		dhcpv4.WithNetmask(net.CIDRMask(s.subnet.Bits(), 32)),
		dhcpv4.WithRouter(router.AsSlice()),
		dhcpv4.WithDNS(router.AsSlice()),
	}
}
