// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/picolet/picolet/emulator/segment"
)

var (
	everybody = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	hostMAC   = [6]byte{2, 0, 0, 0, 0, 1}
	nobody    = netip.AddrFrom4([4]byte{})
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	hostAddr  = netip.MustParseAddr("10.42.0.1")
)

// udp is a station's datagram.
func (s *station) udp(to [6]byte, src, dst netip.AddrPort, payload []byte) []byte {
	const ipAt, udpAt, bodyAt = 14, 34, 42
	b := make([]byte, bodyAt+len(payload))
	copy(b[0:], to[:])
	copy(b[6:], s.mac[:])
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip := header.IPv4(b[ipAt:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b) - ipAt), TTL: 64, Protocol: 17,
		SrcAddr: tcpip.AddrFrom4(src.Addr().As4()), DstAddr: tcpip.AddrFrom4(dst.Addr().As4())})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.UDP(b[udpAt:]).Encode(&header.UDPFields{SrcPort: src.Port(), DstPort: dst.Port(), Length: uint16(len(b) - udpAt)})
	copy(b[bodyAt:], payload)
	return b
}

// datagrams are the UDP payloads among the frames that a station has heard, each
// with correct checksums.
func (s *station) datagrams(t *testing.T) (payloads [][]byte) {
	t.Helper()
	for _, f := range s.heard() {
		ip := header.IPv4(f[14:])
		if header.Ethernet(f).Type() != header.IPv4ProtocolNumber || ip.TransportProtocol() != header.UDPProtocolNumber {
			continue
		}
		udp := header.UDP(ip.Payload())
		if !ip.IsChecksumValid() || !udp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), sum(udp.Payload())) {
			t.Errorf("a datagram with a wrong checksum: %x", f)
		}
		payloads = append(payloads, udp.Payload())
	}
	return payloads
}

// sum is the checksum of RFC 1071, not inverted.
func sum(b []byte) uint16 {
	var total uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		total += word
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// dhcp sends a message and returns the answer, nil if there is none.
func (s *station) dhcp(t *testing.T, kind dhcpv4.MessageType, options ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(net.HardwareAddr(s.mac[:])), dhcpv4.WithMessageType(kind)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	from := nobody
	if a, ok := netip.AddrFromSlice(m.ClientIPAddr.To4()); ok {
		from = a
	}
	s.heard() // what others have said before
	s.port.Send(s.udp(everybody, netip.AddrPortFrom(from, 68), netip.AddrPortFrom(broadcast, 67), m.ToBytes()))
	answers := s.datagrams(t)
	if len(answers) == 0 {
		return nil
	}
	answer, err := dhcpv4.FromBytes(answers[0])
	if err != nil || len(answers) > 1 || answer.TransactionID != m.TransactionID {
		t.Fatalf("%d answers, %v: %s", len(answers), err, answer.Summary())
	}
	return answer
}

func requested(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(a)))
}

func server(a string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(a)))
}

func TestDHCPHandsOutAnAddress(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{LeaseTime: 90 * time.Second})
	st := attach(s, 1)
	offer := st.dhcp(t, dhcpv4.MessageTypeDiscover)
	if offer == nil || offer.MessageType() != dhcpv4.MessageTypeOffer || offer.YourIPAddr.String() != "10.42.0.2" {
		t.Fatalf("offer: %v", offer)
	}
	ack := st.dhcp(t, dhcpv4.MessageTypeRequest, requested("10.42.0.2"), server("10.42.0.1"))
	if ack == nil || ack.MessageType() != dhcpv4.MessageTypeAck || ack.YourIPAddr.String() != "10.42.0.2" {
		t.Fatalf("ack: %v", ack)
	}
	if r, d, m, l := ack.Router(), ack.DNS(), ack.SubnetMask(), ack.IPAddressLeaseTime(0); len(r) != 1 || r[0].String() != "10.42.0.1" ||
		len(d) != 1 || d[0].String() != "10.42.0.1" || m.String() != "ffffff00" || l != 90*time.Second {
		t.Errorf("router %v, DNS %v, mask %v, lease %v", r, d, m, l)
	}
	if a, ok := s.LeaseOf(st.mac); !ok || a.String() != "10.42.0.2" {
		t.Errorf("lease of the station: %v, %v", a, ok)
	}
	if other := attach(s, 2).dhcp(t, dhcpv4.MessageTypeDiscover); other.YourIPAddr.String() != "10.42.0.3" {
		t.Errorf("another station is offered %v", other.YourIPAddr)
	}
	if again := st.dhcp(t, dhcpv4.MessageTypeDiscover); again.YourIPAddr.String() != "10.42.0.2" {
		t.Errorf("the same station is offered %v", again.YourIPAddr)
	}
	renewed := st.dhcp(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.ParseIP("10.42.0.2")))
	if renewed == nil || renewed.MessageType() != dhcpv4.MessageTypeAck || renewed.YourIPAddr.String() != "10.42.0.2" {
		t.Errorf("renewed: %v", renewed)
	}
}

func TestHostMayHaveAnyAddress(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{Subnet: netip.MustParsePrefix("192.168.1.2/24")})
	st := attach(s, 1)
	if s.Addr().String() != "192.168.1.2" || !st.arp(t, "192.168.1.9", "192.168.1.2") {
		t.Errorf("the host is %s", s.Addr())
	}
	for i, want := range []string{"192.168.1.1", "192.168.1.3"} {
		offer := attach(s, byte(7+i)).dhcp(t, dhcpv4.MessageTypeDiscover)
		if offer == nil || offer.YourIPAddr.String() != want || offer.Router()[0].String() != "192.168.1.2" {
			t.Errorf("offer: %v, want %s", offer, want)
		}
	}
}

// TestDHCPRequests: what a server says to requests that follow no offer of its own,
// RFC 2131 section 4.3.2.
func TestDHCPRequests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what    string
		options []dhcpv4.Modifier
		known   bool
		want    dhcpv4.MessageType // 0: silence
	}{
		{"after a reboot, its address", []dhcpv4.Modifier{requested("10.42.0.2")}, true, dhcpv4.MessageTypeAck},
		{"after a reboot, another one's", []dhcpv4.Modifier{requested("10.42.0.3")}, true, dhcpv4.MessageTypeNak},
		{"after a reboot, another network's", []dhcpv4.Modifier{requested("192.168.1.7")}, false, dhcpv4.MessageTypeNak},
		{"after a reboot, without a record", []dhcpv4.Modifier{requested("10.42.0.9")}, false, 0},
		{"another server's offer", []dhcpv4.Modifier{requested("10.42.0.2"), server("10.42.0.200")}, true, 0},
		{"an address that was not offered", []dhcpv4.Modifier{requested("10.42.0.9"), server("10.42.0.1")}, false, dhcpv4.MessageTypeNak},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			st := attach(newSegment(t, segment.Config{}), 1)
			if tt.known {
				st.dhcp(t, dhcpv4.MessageTypeDiscover)
			}
			answer := st.dhcp(t, dhcpv4.MessageTypeRequest, tt.options...)
			if answer == nil && tt.want != 0 || answer != nil && answer.MessageType() != tt.want {
				t.Errorf("got %v, want %v", answer, tt.want)
			}
		})
	}
}

func TestDHCPDoesNotHandOutDeclinedAddresses(t *testing.T) {
	t.Parallel()
	st := attach(newSegment(t, segment.Config{Subnet: netip.MustParsePrefix("192.168.7.0/29")}), 1)
	for _, want := range []string{"192.168.7.2", "192.168.7.3", "192.168.7.4", "192.168.7.5", "192.168.7.6"} {
		if offer := st.dhcp(t, dhcpv4.MessageTypeDiscover); offer == nil || offer.YourIPAddr.String() != want {
			t.Fatalf("offer %v, want %s", offer, want)
		}
		if answer := st.dhcp(t, dhcpv4.MessageTypeDecline, requested(want)); answer != nil {
			t.Errorf("a decline is answered by %v", answer)
		}
	}
	if offer := st.dhcp(t, dhcpv4.MessageTypeDiscover); offer != nil {
		t.Errorf("no address is left, and %v is offered", offer.YourIPAddr)
	}
}

func TestDHCPFaults(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	st := attach(s, 1)
	for _, f := range []segment.Faults{{NoDHCP: true}, {Deaf: true}} {
		s.SetFaults(f)
		if offer := st.dhcp(t, dhcpv4.MessageTypeDiscover); offer != nil {
			t.Errorf("%+v: %v", f, offer)
		}
	}
	s.SetFaults(segment.Faults{Router: netip.MustParseAddr("172.16.0.1")})
	offer := st.dhcp(t, dhcpv4.MessageTypeDiscover)
	if offer == nil || offer.Router()[0].String() != "172.16.0.1" || offer.YourIPAddr.String() != "10.42.0.2" {
		t.Errorf("wrong router: %v", offer)
	}
}

// arp asks who has an address, and tells whether somebody answers.
func (s *station) arp(t *testing.T, sender, target string) bool {
	t.Helper()
	b := make([]byte, 42)
	copy(b, everybody[:])
	copy(b[6:], s.mac[:])
	binary.BigEndian.PutUint16(b[12:], 0x0806)
	arp := header.ARP(b[14:])
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPRequest)
	copy(arp.HardwareAddressSender(), s.mac[:])
	copy(arp.ProtocolAddressSender(), netip.MustParseAddr(sender).AsSlice())
	copy(arp.ProtocolAddressTarget(), netip.MustParseAddr(target).AsSlice())
	s.port.Send(b)
	for _, f := range s.heard() {
		if header.Ethernet(f).Type() == header.ARPProtocolNumber && header.ARP(f[14:]).Op() == header.ARPReply {
			return true
		}
	}
	return false
}

// TestARPIsAnsweredForTheHostAlone: a board that probes for its own address, RFC 5227,
// must hear nothing, or it takes it for taken.
func TestARPIsAnsweredForTheHostAlone(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	st := attach(s, 1)
	st.dhcp(t, dhcpv4.MessageTypeDiscover)
	if !st.arp(t, "10.42.0.2", "10.42.0.1") {
		t.Error("the host does not answer for itself")
	}
	for _, probed := range []string{"10.42.0.2", "10.42.0.3", "10.42.0.254", "8.8.8.8"} {
		if st.arp(t, "0.0.0.0", probed) {
			t.Errorf("a probe for %s is answered", probed)
		}
	}
	s.SetFaults(segment.Faults{Deaf: true})
	if st.arp(t, "10.42.0.2", "10.42.0.1") {
		t.Error("a deaf host answers")
	}
}

func (s *station) lookUp(t *testing.T, name string, kind dnsmessage.Type) *dnsmessage.Message {
	t.Helper()
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 77, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	payload, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddrPort("10.42.0.2:5000")
	s.port.Send(s.udp(hostMAC, own, netip.AddrPortFrom(hostAddr, 53), payload))
	answers := s.datagrams(t)
	if len(answers) == 0 {
		return nil
	}
	var m dnsmessage.Message
	if err := m.Unpack(answers[0]); err != nil || m.ID != 77 || !m.Response {
		t.Fatalf("answer %x: %v", answers[0], err)
	}
	return &m
}

func TestDNSKnowsItsNamesAndNoOther(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{Names: map[string]netip.Addr{"gateway.lan": hostAddr}})
	st := attach(s, 1)
	m := st.lookUp(t, "Gateway.lan.", dnsmessage.TypeA)
	if m == nil || len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.AResource).A != hostAddr.As4() {
		t.Errorf("A gateway.lan: %v", m)
	}
	if m := st.lookUp(t, "gateway.lan.", dnsmessage.TypeAAAA); m == nil || len(m.Answers) != 0 || m.RCode != dnsmessage.RCodeSuccess {
		t.Errorf("AAAA gateway.lan: %v", m)
	}
	if m := st.lookUp(t, "kubernetes.io.", dnsmessage.TypeA); m == nil || m.RCode != dnsmessage.RCodeNameError {
		t.Errorf("another name: %v", m)
	}
	s.SetFaults(segment.Faults{NoDNS: true})
	if m := st.lookUp(t, "gateway.lan.", dnsmessage.TypeA); m != nil {
		t.Errorf("without DNS: %v", m)
	}
}

func TestStationsHearEachOther(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	a, b, c := attach(s, 1), attach(s, 2), attach(s, 3)
	frame := func(to [6]byte) []byte {
		f := make([]byte, 60)
		copy(f, to[:])
		copy(f[6:], a.mac[:])
		f[12] = 0x88
		return f
	}
	group := [6]byte{1, 0, 0x5e, 0, 0, 0xfb}
	count := func(what string, want ...int) {
		t.Helper()
		if got := []int{len(a.heard()), len(b.heard()), len(c.heard())}; !slices.Equal(got, want) {
			t.Errorf("%s: heard %v frames, want %v", what, got, want)
		}
	}
	a.port.Send(frame(everybody))
	count("broadcast", 0, 1, 1)
	a.port.Send(frame(group))
	count("multicast", 0, 1, 1)
	a.port.Send(frame(b.mac))
	count("to a station not heard of", 0, 1, 1)
	b.port.Send(b.udp(a.mac, netip.MustParseAddrPort("10.42.0.3:1"), netip.MustParseAddrPort("10.42.0.2:1"), nil))
	count("to a station that has spoken", 1, 0, 0)
	a.port.Send(frame(b.mac))
	count("now both have spoken", 0, 1, 0)
	a.port.Send(frame(hostMAC))
	a.port.Send(make([]byte, 13))
	a.port.Send(make([]byte, 1515))
	count("to the host, or of a wrong size", 0, 0, 0)
	b.port.Detach()
	a.port.Send(frame(everybody))
	count("after it was unplugged", 0, 0, 1)
}

func TestLookupMDNS(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	st := attach(s, 1)
	group := netip.MustParseAddrPort("224.0.0.251:5353")
	found := make(chan netip.Addr, 1)
	go func() {
		a, err := s.LookupMDNS(t.Context(), "Pico-1.local")
		if err != nil {
			t.Error(err)
		}
		found <- a
	}()
	st.wait(t, func() bool { return len(st.frames) > 0 })
	var q dnsmessage.Message
	if asked := st.datagrams(t); q.Unpack(asked[0]) != nil || q.Questions[0].Name.String() != "Pico-1.local." {
		t.Fatalf("asked %x", asked)
	}
	q.Response, q.Answers = true, []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("pico-1.local."), Class: dnsmessage.ClassINET, TTL: 120},
		Body:   &dnsmessage.AResource{A: [4]byte{10, 42, 0, 2}},
	}}
	q.Questions = nil
	answer, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	st.port.Send(st.udp([6]byte{1, 0, 0x5e, 0, 0, 0xfb}, netip.MustParseAddrPort("10.42.0.2:5353"), group, answer))
	if a := <-found; a.String() != "10.42.0.2" {
		t.Errorf("found %v", a)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.LookupMDNS(ctx, "pico-2.local"); err == nil || !strings.Contains(err.Error(), "no station has answered") {
		t.Errorf("a name that nobody has: %v", err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]segment.Config{
		"IPv6":           {Subnet: netip.MustParsePrefix("fd00::/64")},
		"no room":        {Subnet: netip.MustParsePrefix("10.0.0.0/31")},
		"broadcast":      {Subnet: netip.MustParsePrefix("10.0.0.255/24")},
		"target":         {Forward: map[uint16]string{80: "127.0.0.1"}},
		"port 0":         {Forward: map[uint16]string{0: "127.0.0.1:80"}},
		"negative lease": {LeaseTime: -1},
	} {
		if s, err := segment.New(c); err == nil {
			_ = s.Close()
			t.Errorf("%s is accepted", what)
		}
	}
	s := newSegment(t, segment.Config{})
	if err := s.SetForward(80, "nowhere"); err == nil {
		t.Error("a target without a port is accepted")
	}
}

// FuzzFrames: whatever a station sends, the segment lives.
func FuzzFrames(f *testing.F) {
	st := &station{mac: [6]byte{2, 0, 0, 0, 1, 1}}
	for _, port := range []uint16{53, 67, 5353, 80} {
		f.Add(st.udp(hostMAC, netip.AddrPortFrom(nobody, 68), netip.AddrPortFrom(hostAddr, port), []byte("payload")))
	}
	arp := make([]byte, 42)
	copy(arp, everybody[:])
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	f.Add(arp)
	s, err := segment.New(segment.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	st = attach(s, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		st.port.Send(data)
		for _, frame := range st.heard() {
			if len(frame) < 14 || len(frame) > 1514 {
				t.Errorf("a frame of %d bytes", len(frame))
			}
		}
	})
}
