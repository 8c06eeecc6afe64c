// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	"github.com/soypat/lneto"
)

// Parts of IGMP.
const (
	igmpQuery   = 0x11
	igmpSize    = 8
	igmpSizeV3  = 12 // of a query, at least (RFC 3376, section 7.1)
	routerAlert = 4  // bytes of IP options
	networkTOS  = 0xc0

	joinReports = 2                // RFC 2236, section 3: one may be lost
	joinEvery   = 5 * time.Second  // between them
	reportEvery = time.Second      // a flood of queries is not answered by a flood
	queryTimeV1 = 10 * time.Second // to answer in (RFC 2236, section 4)
)

// The reports of each version, behind the option router alert (RFC 2113). That of
// version 3 excludes no source.
const (
	reportV1 = "\x94\x04\x00\x00" + "\x12\x00\x0d\x04" + "\xe0\x00\x00\xfb"
	reportV2 = "\x94\x04\x00\x00" + "\x16\x00\x09\x04" + "\xe0\x00\x00\xfb"
	reportV3 = "\x94\x04\x00\x00" + "\x22\x00\xfb\x02\x00\x00\x00\x01" + "\x02\x00\x00\x00" + "\xe0\x00\x00\xfb"
)

// allRoutersV3 is where reports of version 3 go (RFC 3376, section 4.2.14).
var (
	allRoutersV3    = [4]byte{224, 0, 0, 22}
	allRoutersV3MAC = [6]byte{0x01, 0x00, 0x5e, 0x00, 0x00, 0x16}
)

// membership reports that the board is in mDNS's group, without which switches
// that snoop on IGMP (RFC 4541) keep the group's packets from it. The first
// reports are of version 2, which routers of version 3 understand, later ones of
// that of the last query. It hears no reports of others and so holds none back.
type membership struct {
	report string        // the next one
	unsent uint8         // reports for having joined
	at     time.Duration // of the next report; never: none is due
	sentAt time.Duration
}

// join reports the membership at once.
func (m *membership) join(now time.Duration) {
	*m = membership{report: reportV2, unsent: joinReports, at: now, sentAt: now - reportEvery}
}

func (m *membership) leave() { m.at = never }

// receive takes a message of IGMP, and notes when to answer a query for all
// groups, or for mDNS's (RFC 2236, section 3; RFC 3376, section 5.2).
func (m *membership) receive(now time.Duration, b []byte, random uint64) {
	if b[0] != igmpQuery || [4]byte(b[4:8]) != [4]byte{} && [4]byte(b[4:8]) != multicastDNS {
		return
	}
	// In tenths of a second; version 3 has codes for longer times than this (4.1.1).
	limit := time.Duration(min(b[1], 127)) * (time.Second / 10)
	switch {
	case len(b) >= igmpSizeV3:
		m.report = reportV3
	case b[1] == 0:
		m.report, limit = reportV1, queryTimeV1
	default:
		m.report = reportV2
	}
	delay := time.Duration(random % uint64(limit+1))
	m.at = min(m.at, max(now+delay, m.sentAt+reportEvery))
}

// sent notes that a report was sent.
func (m *membership) sent(now time.Duration) {
	m.sentAt, m.at = now, never
	if m.unsent > 0 {
		m.unsent--
	}
	if m.unsent > 0 {
		m.at = now + joinEvery
	}
}

// nextReport writes a report.
func (n *Network) nextReport(now time.Duration, p []byte) int {
	m := &n.membership
	if n.address == [4]byte{} || now < m.at {
		return 0
	}
	m.sent(now)
	to, mac := multicastDNS, MulticastMAC
	if len(m.report) == len(reportV3) {
		to, mac = allRoutersV3, allRoutersV3MAC
	}
	f := n.header(p, mac, n.address, to, lneto.IPProtoIGMP, len(m.report))
	f.SetVersionAndIHL(4, (ipSize+routerAlert)/4)
	f.SetToS(networkTOS)
	f.SetTTL(1)
	f.SetCRC(0)
	size := copy(p[bodyStart:], m.report)
	f.SetCRC(headerSum(p[ipStart : bodyStart+routerAlert]))
	return bodyStart + size
}

// headerSum is the checksum of an IP header, with its options; 0 for one with a
// right checksum.
func headerSum(header []byte) uint16 {
	var sum lneto.CRC791
	sum.WriteEven(header)
	return sum.Sum16()
}
