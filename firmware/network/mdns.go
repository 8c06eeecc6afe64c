// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/binary"
	"time"

	"github.com/soypat/lneto/dns"
)

// Times of mDNS (RFC 6762).
const (
	mdnsTTL       = 120 // seconds: section 10, for records that name a host
	legacyTTL     = 10  // seconds: section 6.7
	announceEvery = time.Second
	aloneEvery    = 100 * time.Millisecond // between answers to one host each: a flood of questions is not answered by a flood
	announcements = 2
	maxMDNS       = 16 // questions and known answers read of one message
)

// responder answers for <name>.local (RFC 6762). It does not probe before: that
// a name is free is for the cluster to say, which knows a node by it.
type responder struct {
	name   string
	unsent uint8         // announcements
	at     time.Duration // of the next one
	sentAt time.Duration // when all were told last
	due    bool          // all are to be told
	to     route         // of one that is to be told alone, if mac is not zero
	toAt   time.Duration // when one was told alone last
	id     uint16        // of its question
	legacy bool          // it is no responder: it wants its question back
}

// start announces the name at its address.
func (r *responder) start(now time.Duration) {
	*r = responder{name: r.name, unsent: announcements, at: now, sentAt: now - announceEvery, toAt: now - aloneEvery}
}

func (r *responder) stop() { *r = responder{name: r.name, at: never} }

func (r *responder) poll(now time.Duration) {
	if now < r.at {
		return
	}
	r.due, r.at = true, never
	if r.unsent--; r.unsent > 0 {
		r.at = now + announceEvery
	}
}

func (r *responder) wake() time.Duration { return r.at }

// isName tells whether the name at off is the board's.
func (r *responder) isName(m message, off int) bool {
	rest := r.name
	for range maxLabels {
		got, next, ok := m.label(off)
		if rest == "" {
			return ok && equalFold(got, "local") && m.nameIs(next, "")
		}
		label, after := cutLabel(rest)
		if !ok || !equalFold(got, label) {
			return false
		}
		off, rest = next, after
	}
	return false
}

// receive takes a message for mDNS, and notes what to answer.
func (r *responder) receive(now time.Duration, p *packet, from uint16, b []byte, own [4]byte) {
	m := message(b)
	f, err := dns.NewFrame(b)
	if err != nil || f.Flags().IsResponse() || f.Flags().OpCode() != 0 {
		return
	}
	asked, unicastWanted, off := r.readQuestions(m, int(f.QDCount()))
	if !asked || r.knows(m, off, int(f.ANCount()), own) {
		return
	}
	legacy := from != mdnsPort
	switch alone := legacy || unicastWanted || p.dst == own; {
	case alone && now >= r.toAt+aloneEvery:
		r.to, r.toAt = route{mac: p.mac, peer: p.src, local: mdnsPort, remote: from}, now
		r.id, r.legacy = f.TxID(), legacy
	case !alone && now >= r.sentAt+announceEvery: // section 6: at most once a second
		r.due = true
	}
}

// readQuestions tells whether the board's address is asked for, and whether by
// unicast, and where the questions end.
func (r *responder) readQuestions(m message, questions int) (asked, alone bool, off int) {
	off = dnsHeader
	for range min(questions, maxMDNS) {
		q, next, ok := m.question(off)
		if !ok {
			return false, false, off
		}
		off = next
		if q.class&^dnsFlush == dnsClassIN && r.isName(m, q.name) {
			asked, alone = true, q.class&dnsFlush != 0
		}
	}
	return asked, alone, off
}

// knows tells whether the one who asks has the answer (section 7.1).
func (r *responder) knows(m message, off, answers int, own [4]byte) bool {
	for range min(answers, maxMDNS) {
		rec, next, ok := m.record(off)
		if !ok {
			return false
		}
		off = next
		if rec.kind == typeA && rec.size == 4 && [4]byte(m[rec.data:next]) == own &&
			rec.ttl >= mdnsTTL/2*time.Second && r.isName(m, rec.name) {
			return true
		}
	}
	return false
}

// nextMDNS writes an answer or an announcement.
func (n *Network) nextMDNS(now time.Duration, p []byte) int {
	r := &n.mdns
	if n.address == [4]byte{} {
		return 0
	}
	if to := r.to; to.mac != ([6]byte{}) {
		r.to = route{}
		size := len(r.appendAnswer(p[udpStart:udpStart], n.address, r.id, r.legacy))
		return n.sendUDP(p, to.mac, n.address, to.peer, to.local, to.remote, size)
	}
	if !r.due {
		return 0
	}
	r.due, r.sentAt = false, now
	size := len(r.appendAnswer(p[udpStart:udpStart], n.address, 0, false))
	return n.sendUDP(p, MulticastMAC, n.address, multicastDNS, mdnsPort, mdnsPort, size)
}

// appendAnswer appends the address, and that there is no other record of the
// name, so that nobody waits for one of IPv6 (section 6.1).
func (r *responder) appendAnswer(p []byte, own [4]byte, id uint16, legacy bool) []byte {
	const authoritative = 0x8400
	if legacy {
		p = appendHeader(p, id, authoritative, 1, 1, 0)
		p = r.appendOwnName(p)
		p = append(p, 0, typeA, 0, dnsClassIN)
		p = append(p, 0xc0, dnsHeader)
		return appendA(p, dnsClassIN, legacyTTL, own)
	}
	p = appendHeader(p, 0, authoritative, 0, 1, 1)
	p = r.appendOwnName(p)
	p = appendA(p, dnsClassIN|dnsFlush, mdnsTTL, own)
	p = append(p, 0xc0, dnsHeader)
	p = appendRecord(p, typeNSEC, dnsClassIN|dnsFlush, mdnsTTL, 5)
	return append(p, 0xc0, dnsHeader, 0, 1, 0x40)
}

// appendOwnName appends <name>.local.
func (r *responder) appendOwnName(p []byte) []byte {
	p = appendName(p, r.name)
	p = append(p[:len(p)-1], 5)
	return append(p, "local\x00"...)
}

func appendA(p []byte, class uint16, ttl uint32, a [4]byte) []byte {
	return append(appendRecord(p, typeA, class, ttl, 4), a[:]...)
}

// appendRecord appends a record behind its name, up to its data of size bytes.
func appendRecord(p []byte, kind, class uint16, ttl uint32, size uint16) []byte {
	p = binary.BigEndian.AppendUint16(p, kind)
	p = binary.BigEndian.AppendUint16(p, class)
	p = binary.BigEndian.AppendUint32(p, ttl)
	return binary.BigEndian.AppendUint16(p, size)
}
