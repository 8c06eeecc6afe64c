// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"testing"
	"time"

	"github.com/soypat/lneto"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/picolet/picolet/board"
)

// report is a report of IGMP that the board has sent.
type report struct {
	at   time.Duration
	kind header.IGMPType
}

// reports keeps those that the board sends, and checks them with gVisor's reading
// of RFC 2236 and RFC 3376.
func (l *lan) reports() *[]report {
	list := new([]report)
	l.onFrame = func(toBoard bool, f []byte) bool {
		if !toBoard && f[12] == 8 && f[13] == 0 && f[23] == 2 {
			*list = append(*list, report{l.now, l.checkReport(f)})
		}
		return true
	}
	return list
}

func (l *lan) checkReport(f []byte) header.IGMPType {
	l.t.Helper()
	ip := header.IPv4(f[ethernetSize:])
	group, to := tcpip.AddrFrom4(multicastDNS), tcpip.AddrFrom4(multicastDNS)
	m := header.IGMP(ip.Payload())
	got, mac := m.GroupAddress(), MulticastMAC
	if m.Type() == header.IGMPv3MembershipReport {
		it := header.IGMPv3Report(m).GroupAddressRecords()
		record, _ := it.Next()
		got, to, mac = record.GroupAddress(), header.IGMPv3RoutersAddress, allRoutersV3MAC
		if record.RecordType() != header.IGMPv3ReportRecordModeIsExclude {
			l.t.Errorf("record is of type %d", record.RecordType())
		}
	}
	options := []byte(ip.Options())
	if !ip.IsValid(len(f)-ethernetSize) || !ip.IsChecksumValid() || ip.TTL() != 1 || !bytes.Equal(options, []byte{0x94, 4, 0, 0}) || ip.DestinationAddress() != to ||
		[6]byte(f[:6]) != mac || ip.SourceAddress() != tcpip.AddrFrom4(l.n.address) {
		l.t.Errorf("packet of a report is %x", f)
	}
	if m.Checksum() != header.IGMPCalculateChecksum(m) || got != group {
		l.t.Errorf("report is %x", []byte(m))
	}
	return m.Type()
}

// query sends a query to all hosts, or to mDNS's group, as a switch or a router
// sends it: with the option router alert, and perhaps without an address.
func (l *lan) query(from [4]byte, body ...byte) {
	to, mac := [4]byte{224, 0, 0, 1}, AllHostsMAC
	if body[4] != 0 {
		to, mac = multicastDNS, MulticastMAC
	}
	var sum lneto.CRC791
	crc := sum.PayloadSum16(body)
	body[2], body[3] = byte(crc>>8), byte(crc)
	var buf [MaxFrame]byte
	copy(buf[bodyStart:], append([]byte{0x94, 4, 0, 0}, body...))
	size := 4 + len(body)
	f := l.client.net.header(buf[:], mac, from, to, lneto.IPProtoIGMP, size)
	f.SetVersionAndIHL(4, 6)
	f.SetTTL(1)
	f.SetCRC(0)
	f.SetCRC(headerSum(buf[ipStart : bodyStart+4]))
	l.client.send(bodyStart+size, buf[:])
}

// The board reports at once that it is in mDNS's group, and once more, should the
// first report be lost.
func TestGroupIsJoined(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	sent := l.reports()
	l.up()
	l.run(time.Hour)
	if len(*sent) < 2 || (*sent)[0].at > time.Second || (*sent)[1].at > 10*time.Second || (*sent)[0].kind != header.IGMPv2MembershipReport {
		t.Errorf("reports are %v", *sent)
	}
	if len(*sent) > 2 {
		t.Errorf("%d reports in an hour without a query", len(*sent))
	}
	l.n.LinkDown(l.now)
	l.flying, l.gateway.conns, *sent = nil, nil, nil
	l.run(time.Minute)
	l.n.LinkUp(l.now)
	l.until(20*time.Second, "the gateway is reached", l.n.connected)
	if len(*sent) == 0 {
		t.Error("no report after the link was lost")
	}
}

func TestGroupIsAsked(t *testing.T) {
	t.Parallel()
	v3 := func(body ...byte) []byte { return append(body, 2, 125, 0, 0) }
	tests := map[string]struct {
		query []byte
		from  [4]byte
		want  header.IGMPType // 0: no report
		limit time.Duration
	}{
		"of version 1":           {[]byte{0x11, 0, 0, 0, 0, 0, 0, 0}, gatewayIP, header.IGMPv1MembershipReport, 10 * time.Second},
		"of version 2":           {[]byte{0x11, 100, 0, 0, 0, 0, 0, 0}, gatewayIP, header.IGMPv2MembershipReport, 10 * time.Second},
		"soon":                   {[]byte{0x11, 10, 0, 0, 0, 0, 0, 0}, gatewayIP, header.IGMPv2MembershipReport, time.Second},
		"of version 3":           {v3(0x11, 100, 0, 0, 0, 0, 0, 0), gatewayIP, header.IGMPv3MembershipReport, 10 * time.Second},
		"in longer than 12.8 s":  {v3(0x11, 0x80, 0, 0, 0, 0, 0, 0), gatewayIP, header.IGMPv3MembershipReport, 12800 * time.Millisecond},
		"for the group":          {[]byte{0x11, 10, 0, 0, 224, 0, 0, 251}, gatewayIP, header.IGMPv2MembershipReport, time.Second},
		"of a switch":            {[]byte{0x11, 100, 0, 0, 0, 0, 0, 0}, nobody, header.IGMPv2MembershipReport, 10 * time.Second},
		"for another group":      {[]byte{0x11, 10, 0, 0, 224, 0, 0, 252}, gatewayIP, 0, 20 * time.Second},
		"report of another host": {[]byte{0x16, 0, 0, 0, 224, 0, 0, 251}, gatewayIP, 0, 20 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			l.run(time.Minute)
			sent := l.reports()
			l.query(tt.from, tt.query...)
			l.run(tt.limit + 10*time.Millisecond)
			if tt.want == 0 && len(*sent) != 0 || tt.want != 0 && (len(*sent) != 1 || (*sent)[0].kind != tt.want) {
				t.Errorf("reports are %v", *sent)
			}
		})
	}
}

// Without an address there is nothing to answer from, nor to wait for.
func TestGroupIsAskedBeforeLease(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.dhcp.silent = true
	sent := l.reports()
	l.n.LinkUp(0)
	l.run(time.Second)
	l.query(gatewayIP, 0x11, 10, 0, 0, 0, 0, 0, 0)
	l.run(time.Minute)
	if len(*sent) != 0 {
		t.Errorf("reports are %v", *sent)
	}
}

// Boards that are asked at once do not answer at once.
func TestGroupIsAskedOfMany(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(time.Minute)
	sent := l.reports()
	var after time.Duration
	for range 20 {
		begin := l.now
		*sent = nil
		l.query(gatewayIP, 0x11, 100, 0, 0, 0, 0, 0, 0)
		l.until(11*time.Second, "a report", func() bool { return len(*sent) > 0 })
		after += (*sent)[0].at - begin
	}
	if mean := after / 20; mean < 2*time.Second || mean > 8*time.Second {
		t.Errorf("reports are sent %v after the query, of the 10 s that it allows", mean)
	}
}

// A flood of queries is not answered by a flood.
func TestFloodOfIGMP(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(time.Minute)
	sent := l.reports()
	for range 10_000 {
		l.query(clientIP, 0x11, 1, 0, 0, 0, 0, 0, 0)
		l.query(clientIP, 0x11, 1, 0, 0, 224, 0, 0, 251)
		l.run(time.Millisecond)
	}
	if n := len(*sent); n < 5 || n > 11 {
		t.Errorf("%d reports for 20 000 queries in 10 s", n)
	}
	if l.n.State() != board.NetworkUp {
		t.Errorf("state %v", l.n.State())
	}
}

// Other packets with IP options are refused, as are options that are cut.
func TestOptionsOfIP(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(f []byte)
		answers int
	}{
		"right":                  {func([]byte) {}, 1},
		"longer than the packet": {func(f []byte) { f[ipStart] = 0x4f }, 0},
		"no room for a query":    {func(f []byte) { f[ipStart+3] = 24 + 7 }, 0},
		"shorter than a header":  {func(f []byte) { f[ipStart] = 0x44 }, 0},
		"of a ping":              {func(f []byte) { f[ipStart+9], f[bodyStart+4] = 1, 8 }, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			l.run(time.Minute)
			answers := 0
			l.onFrame = func(toBoard bool, f []byte) bool {
				switch isIP := f[12] == 8 && f[13] == 0; {
				case toBoard && isIP && f[23] == 2:
					tt.change(f)
					f[ipStart+10], f[ipStart+11] = 0, 0
					crc := headerSum(f[ipStart:min(len(f), ipStart+4*int(f[ipStart]&0xf))])
					f[ipStart+10], f[ipStart+11] = byte(crc>>8), byte(crc)
				case !toBoard && isIP && f[23] <= 2:
					answers++
				}
				return true
			}
			l.query(gatewayIP, 0x11, 10, 0, 0, 0, 0, 0, 0)
			l.run(2 * time.Second)
			if answers != tt.answers {
				t.Errorf("%d answers, want %d", answers, tt.answers)
			}
		})
	}
}
