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
	"github.com/picolet/picolet/firmware/network/tcp"
)

// Sizes of headers, and where their payloads begin in a frame.
const (
	ethernetSize = 14
	ipSize       = 20
	udpSize      = 8
	tcpSize      = 20

	ipStart   = ethernetSize
	bodyStart = ipStart + ipSize
	udpStart  = bodyStart + udpSize
)

const timeToLive = 64 // RFC 1700

// senders are asked for a frame in this order: first what all else needs, then
// the kubelet's own streams, last what strangers asked for.
var senders = [...]func(*Network, time.Duration, []byte) int{
	(*Network).nextLease,
	(*Network).nextARP,
	(*Network).nextQuestion,
	(*Network).nextStream,
	(*Network).nextLinger,
	(*Network).nextRefusal,
	(*Network).nextEcho,
	(*Network).nextReport,
	(*Network).nextMDNS,
	(*Network).nextARP, // for what the others have just missed
}

// Next writes the next frame to send to p, of at least MaxFrame bytes, and
// returns its length, 0 if there is none. A frame that the interface cannot
// take may be dropped: what matters is sent again.
func (n *Network) Next(now time.Duration, p []byte) int {
	if !n.up || len(p) < MaxFrame {
		return 0
	}
	for _, next := range senders {
		if size := next(n, now, p[:MaxFrame]); size > 0 {
			n.state.Sent += uint64(size)
			return size
		}
	}
	return 0
}

// hop returns the hardware address of the next host on the way to a host.
func (n *Network) hop(now time.Duration, to [4]byte) (mac [6]byte, ok bool) {
	ip, ok := n.nextHop(to)
	if !ok {
		return mac, false
	}
	return n.neighbors.lookup(now, ip)
}

// nextHop is to itself, or the router. It is false if there is none.
func (n *Network) nextHop(to [4]byte) (ip [4]byte, ok bool) {
	lease, held := n.dhcp.Lease()
	switch {
	case !held:
		return ip, false
	case lease.Local(to):
		return to, true
	}
	return lease.Router, lease.Router != [4]byte{}
}

// nextLease writes the message to a DHCP server.
func (n *Network) nextLease(now time.Duration, p []byte) int {
	from, to, due := n.dhcp.Due()
	if !due {
		return 0
	}
	mac, ok := broadcastMAC, true
	if to != ([4]byte{255, 255, 255, 255}) {
		mac, ok = n.hop(now, to)
	}
	if !ok {
		return 0
	}
	size := n.dhcp.Write(now, p[udpStart:])
	n.witness.ask = true
	return n.sendUDP(p, mac, from, to, dhcp.ClientPort, dhcp.ServerPort, size)
}

// sendUDP completes a frame whose payload of the given size is in place.
func (n *Network) sendUDP(p []byte, mac [6]byte, from, to [4]byte, local, remote uint16, size int) int {
	if size == 0 {
		return 0
	}
	f := n.header(p, mac, from, to, lneto.IPProtoUDP, udpSize+size)
	u, _ := udp.NewFrame(p[bodyStart : udpStart+size])
	u.SetSourcePort(local)
	u.SetDestinationPort(remote)
	u.SetLength(uint16(udpSize + size))
	u.SetCRC(0)
	var sum lneto.CRC791
	f.CRCWriteUDPPseudo(&sum, u.Length())
	u.SetCRC(lneto.NeverZeroSum(sum.PayloadSum16(p[bodyStart : udpStart+size])))
	return udpStart + size
}

// route is where a segment goes.
type route struct {
	mac           [6]byte
	peer          [4]byte
	local, remote uint16
}

// sendSegment writes the frame of a segment.
func (n *Network) sendSegment(p []byte, to route, seg wire.Segment, data []byte) int {
	size := tcpSize
	if seg.Flags.HasAny(wire.FlagSYN) {
		size += copy(p[bodyStart+tcpSize:], []byte{byte(wire.OptMaxSegmentSize), 4, tcp.MaxSegment >> 8, tcp.MaxSegment & 0xff})
	}
	words := uint8(size / 4)
	size += copy(p[bodyStart+size:], data)
	f := n.header(p, to.mac, n.address, to.peer, lneto.IPProtoTCP, size)
	t, _ := wire.NewFrame(p[bodyStart : bodyStart+size])
	t.SetSourcePort(to.local)
	t.SetDestinationPort(to.remote)
	t.SetSegment(seg, words)
	t.SetUrgentPtr(0)
	t.SetCRC(0)
	var sum lneto.CRC791
	f.CRCWriteTCPPseudo(&sum)
	t.SetCRC(sum.PayloadSum16(p[bodyStart : bodyStart+size]))
	return bodyStart + size
}

// header writes the headers of Ethernet and IP for a body of size bytes.
func (n *Network) header(p []byte, mac [6]byte, from, to [4]byte, protocol lneto.IPProto, size int) ipv4.Frame {
	n.link(p, mac, ethernet.TypeIPv4)
	f, _ := ipv4.NewFrame(p[ipStart : bodyStart+size])
	f.ClearHeader()
	f.SetVersionAndIHL(4, ipSize/4)
	f.SetTotalLength(uint16(ipSize + size))
	f.SetID(uint16(n.random.next() >> 48))
	f.SetTTL(timeToLive)
	if to == multicastDNS {
		f.SetTTL(255) // RFC 6762, section 11
	}
	f.SetProtocol(protocol)
	*f.SourceAddr(), *f.DestinationAddr() = from, to
	f.SetCRC(f.CalculateHeaderCRC())
	return f
}

// link writes the header of Ethernet.
func (n *Network) link(p []byte, to [6]byte, kind ethernet.Type) {
	f, _ := ethernet.NewFrame(p)
	*f.DestinationHardwareAddr(), *f.SourceHardwareAddr() = to, n.mac
	f.SetEtherType(kind)
}
