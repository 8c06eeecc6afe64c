// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/ethernet"
	"github.com/soypat/lneto/ipv4"
	wire "github.com/soypat/lneto/tcp"
	"github.com/soypat/lneto/udp"

	"github.com/picolet/picolet/firmware/network/dhcp"
)

var (
	broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	multicastDNS = [4]byte{224, 0, 0, 251}
)

// packet is a received packet of IPv4 whose header and checksums are right.
type packet struct {
	mac      [6]byte // of the sender, or its router
	src, dst [4]byte
	protocol lneto.IPProto
	payload  []byte // of IP
}

// Receive takes an Ethernet frame, without frame check sequence, and keeps
// nothing of it. What cannot be meant for the board, and what is broken, is
// passed over without a word.
func (n *Network) Receive(now time.Duration, frame []byte) {
	n.state.Received += uint64(len(frame))
	f, err := ethernet.NewFrame(frame)
	if err != nil || !n.up || f.SourceHardwareAddr()[0]&1 != 0 { // no host is a group
		return
	}
	switch *f.DestinationHardwareAddr() {
	case n.mac, broadcastMAC, MulticastMAC, AllHostsMAC:
	default:
		return
	}
	switch f.EtherTypeOrSize() {
	case ethernet.TypeARP:
		n.receiveARP(now, frame[ethernetSize:])
	case ethernet.TypeIPv4:
		if p, ok := readPacket(frame[ethernetSize:]); ok {
			p.mac = *f.SourceHardwareAddr()
			n.receivePacket(now, &p)
		}
	}
}

// readPacket checks a packet. Fragments are refused, and options other than IGMP's:
// nobody sends them to a board without intent.
func readPacket(b []byte) (p packet, ok bool) {
	f, err := ipv4.NewFrame(b)
	if err != nil {
		return p, false
	}
	version, words := f.VersionAndIHL()
	start, size := 4*int(words), int(f.TotalLength())
	if version != 4 || start < ipSize || size < start || size > len(b) || headerSum(b[:start]) != 0 ||
		f.Flags().MoreFragments() || f.Flags().FragmentOffset() != 0 {
		return p, false
	}
	p = packet{src: *f.SourceAddr(), dst: *f.DestinationAddr(), protocol: f.Protocol(), payload: b[start:size]}
	return p, (start == ipSize || p.protocol == lneto.IPProtoIGMP) && p.intact(f)
}

// intact checks the size and the checksum of what the packet carries.
func (p *packet) intact(f ipv4.Frame) bool {
	var sum lneto.CRC791
	switch p.protocol {
	case lneto.IPProtoTCP:
		f.CRCWriteTCPPseudo(&sum)
		return len(p.payload) >= tcpSize && sum.PayloadSum16(p.payload) == 0
	case lneto.IPProtoUDP:
		u, err := udp.NewFrame(p.payload)
		if err != nil || int(u.Length()) < udpSize || int(u.Length()) > len(p.payload) {
			return false
		}
		p.payload = p.payload[:u.Length()]
		f.CRCWriteUDPPseudo(&sum, u.Length())
		return u.CRC() == 0 || sum.PayloadSum16(p.payload) == 0
	case lneto.IPProtoIGMP:
		return len(p.payload) >= igmpSize && sum.PayloadSum16(p.payload) == 0
	case lneto.IPProtoICMP:
		return len(p.payload) >= echoHeader && sum.PayloadSum16(p.payload) == 0
	}
	return false
}

func (n *Network) receivePacket(now time.Duration, p *packet) {
	own := p.dst == n.address && n.address != [4]byte{}
	switch {
	case p.protocol == lneto.IPProtoUDP:
		n.receiveUDP(now, p, own)
	case p.protocol == lneto.IPProtoIGMP && n.address != [4]byte{}:
		n.membership.receive(now, p.payload, n.random.next())
	case !own || !unicast(p.src) || p.src == n.address:
	case p.protocol == lneto.IPProtoTCP:
		n.receiveTCP(now, p)
	case p.protocol == lneto.IPProtoICMP:
		n.echo.receive(p)
	}
}

// unicast tells whether an address can be that of one host.
func unicast(a [4]byte) bool { return a[0] != 0 && a[0] != 127 && a[0] < 224 }

func (n *Network) receiveUDP(now time.Duration, p *packet, own bool) {
	u, err := udp.NewFrame(p.payload)
	if err != nil {
		return
	}
	from, to, payload := u.SourcePort(), u.DestinationPort(), p.payload[udpSize:]
	switch {
	case to == dhcp.ClientPort && from == dhcp.ServerPort:
		n.leaseEvent(now, n.dhcp.Receive(now, payload))
	case n.address == [4]byte{}:
	case own && to == n.resolver.port && n.resolver.asked(p.src, from):
		n.resolver.receive(now, payload)
	case to == mdnsPort && (own || p.dst == multicastDNS) && n.local(p.src):
		if from == mdnsPort { // RFC 6762, section 6
			n.resolver.receiveMulticast(now, payload)
		}
		n.mdns.receive(now, p, from, payload, n.address)
	}
}

// local tells whether a host is on the board's network.
func (n *Network) local(host [4]byte) bool {
	lease, ok := n.dhcp.Lease()
	return ok && lease.Local(host)
}

// receiveTCP gives a segment to its connection, or to the listener.
func (n *Network) receiveTCP(now time.Duration, p *packet) {
	f, err := wire.NewFrame(p.payload)
	if err != nil || f.HeaderLength() < tcpSize || f.HeaderLength() > len(p.payload) {
		return
	}
	payload := f.Payload()
	in := segment{
		Segment: f.Segment(len(payload)), payload: payload,
		mac: p.mac, peer: p.src, local: f.DestinationPort(), remote: f.SourcePort(),
	}
	if in.Flags.HasAny(wire.FlagSYN) {
		in.mss = maxSegmentOption(f.Options())
	}
	if s := n.find(&in); s >= 0 {
		n.receiveStream(now, s, &in)
	} else if c := n.findLinger(&in); c != nil {
		n.receiveLinger(now, c, &in)
	} else {
		n.receiveStranger(now, &in)
	}
}

// segment is a received segment with what tells its connection.
type segment struct {
	wire.Segment
	payload       []byte
	mac           [6]byte
	peer          [4]byte
	local, remote uint16
	mss           uint16 // that the sender takes; 0: not told
}

// maxSegmentOption reads the maximum segment size (RFC 9293, 3.2), 0 if it is
// not there.
func maxSegmentOption(options []byte) uint16 {
	for len(options) >= 2 && options[0] != byte(wire.OptEnd) {
		size := int(options[1])
		switch {
		case options[0] == byte(wire.OptNop):
			size = 1
		case size < 2 || size > len(options):
			return 0
		case options[0] == byte(wire.OptMaxSegmentSize) && size == 4:
			return uint16(options[2])<<8 | uint16(options[3])
		}
		options = options[size:]
	}
	return 0
}
