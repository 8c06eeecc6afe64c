// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	minFrame = header.EthernetMinimumSize
	maxFrame = minFrame + mtu
	mtu      = 1500
	ttl      = 255 // also what mDNS asks for, RFC 6762 section 11
)

// mac is an Ethernet address.
type mac [6]byte

var broadcastMAC = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (m mac) isGroup() bool { return m[0]&1 == 1 }

// frame is an Ethernet frame and what is known of it.
type frame struct {
	data     []byte
	dst, src mac
	ip       ipHeader
	ports    struct{ src, dst uint16 } // of UDP and TCP
	payload  []byte                    // of UDP and TCP
	tcp      header.TCP                // nil for others
	udp      bool
}

// ipHeader holds no addresses if there is no IPv4 header. ARP is taken to say what
// address a station has.
type ipHeader struct{ src, dst netip.Addr }

func (f frame) isUDP(port uint16) bool { return f.udp && f.ports.dst == port }

// parseFrame reads as far as the frame makes sense. It is false for frames of a wrong
// size only.
func parseFrame(data []byte) (frame, bool) {
	if len(data) < minFrame || len(data) > maxFrame {
		return frame{}, false
	}
	f := frame{data: data, dst: mac(data[0:6]), src: mac(data[6:12])}
	switch header.Ethernet(data).Type() {
	case header.ARPProtocolNumber:
		f.parseARP(data[minFrame:])
	case header.IPv4ProtocolNumber:
		f.parseIPv4(data[minFrame:])
	}
	return f, true
}

func (f *frame) parseARP(b []byte) {
	if arp := header.ARP(b); arp.IsValid() {
		f.ip.src = netip.AddrFrom4([4]byte(arp.ProtocolAddressSender()))
	}
}

func (f *frame) parseIPv4(b []byte) {
	ip := header.IPv4(b)
	if !ip.IsValid(len(b)) {
		return
	}
	f.ip = ipHeader{netip.AddrFrom4(ip.SourceAddress().As4()), netip.AddrFrom4(ip.DestinationAddress().As4())}
	if ip.FragmentOffset() != 0 || ip.More() {
		return
	}
	switch body := ip.Payload(); ip.TransportProtocol() {
	case header.UDPProtocolNumber:
		f.parseUDP(body)
	case header.TCPProtocolNumber:
		f.parseTCP(body)
	}
}

func (f *frame) parseUDP(b []byte) {
	udp := header.UDP(b)
	if len(b) < header.UDPMinimumSize || int(udp.Length()) < header.UDPMinimumSize || int(udp.Length()) > len(b) {
		return
	}
	f.udp = true
	f.ports.src, f.ports.dst = udp.SourcePort(), udp.DestinationPort()
	f.payload = b[header.UDPMinimumSize:udp.Length()]
}

func (f *frame) parseTCP(b []byte) {
	tcp := header.TCP(b)
	if len(b) < header.TCPMinimumSize || int(tcp.DataOffset()) < header.TCPMinimumSize || int(tcp.DataOffset()) > len(b) {
		return
	}
	f.tcp = tcp
	f.ports.src, f.ports.dst = tcp.SourcePort(), tcp.DestinationPort()
	f.payload = tcp.Payload()
}

// datagram is a UDP datagram to be sent.
type datagram struct {
	to       mac
	src, dst netip.AddrPort
	payload  []byte
}

// frame returns the datagram as the host's Ethernet frame.
func (d datagram) frame() []byte {
	const ipAt, udpAt, bodyAt = minFrame, minFrame + header.IPv4MinimumSize, minFrame + header.IPv4MinimumSize + header.UDPMinimumSize
	b := make([]byte, bodyAt+len(d.payload))
	copy(b[bodyAt:], d.payload)
	header.Ethernet(b).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(hostMAC[:]), DstAddr: tcpip.LinkAddress(d.to[:]), Type: header.IPv4ProtocolNumber,
	})
	src, dst := tcpip.AddrFrom4(d.src.Addr().As4()), tcpip.AddrFrom4(d.dst.Addr().As4())
	ip := header.IPv4(b[ipAt:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) - ipAt), TTL: ttl, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: src, DstAddr: dst,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	length := uint16(len(b) - udpAt)
	udp := header.UDP(b[udpAt:])
	udp.Encode(&header.UDPFields{SrcPort: d.src.Port(), DstPort: d.dst.Port(), Length: length})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, length)
	udp.SetChecksum(^udp.CalculateChecksum(checksum.Checksum(d.payload, sum)))
	return b
}
