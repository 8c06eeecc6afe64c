// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"time"

	"github.com/soypat/lneto/arp"
	"github.com/soypat/lneto/ethernet"
	"github.com/soypat/lneto/ipv4"

	"github.com/picolet/picolet/kubelet/logring"
)

// How neighbors are asked for, and how long an answer holds without a sign that
// packets arrive (RFC 1122, 2.3.2.1). An answer grows old only while nothing is
// heard: acknowledgements of TCP refresh it.
const (
	maxNeighbors  = 3 // gateway, router, name server
	askEvery      = time.Second
	askTries      = 3
	confirmedFor  = time.Minute
	suspectEvery  = 2 * time.Second
	conflictEvery = 10 * time.Second // between log lines about a shared address

	arpSize = 28
)

var errNoNeighbor = errors.New("no host answers ARP for the gateway's address, or its router's: check that it is on, and the address")

// neighbor is a host on the same network.
type neighbor struct {
	ip    [4]byte // zero: entry is free
	mac   [6]byte
	known bool          // mac is valid
	ask   bool          // a request is to be sent
	tries uint8         // requests without answer
	at    time.Duration // when to ask again; never: all is well
	fresh time.Duration // when last confirmed
}

// neighbors finds hardware addresses by ARP (RFC 826), and answers for the
// board's own.
type neighbors struct {
	list     [maxNeighbors]neighbor
	reply    [4]byte // host to be answered; zero for one that probes (RFC 5227, section 2.1.1)
	replyMAC [6]byte // zero: nobody is to be answered
	tell     bool    // announce the board's address
	conflict time.Duration
}

// forget drops all that was known.
func (t *neighbors) forget() { *t = neighbors{conflict: t.conflict} }

// announce lets the others learn the board's address (RFC 5227, 2.3).
func (t *neighbors) announce() { t.tell = true }

func (t *neighbors) find(ip [4]byte) *neighbor {
	for i := range t.list {
		if t.list[i].ip == ip && ip != [4]byte{} {
			return &t.list[i]
		}
	}
	return nil
}

// lookup returns the hardware address of a neighbor. If it is not known, it is
// asked for.
func (t *neighbors) lookup(now time.Duration, ip [4]byte) (mac [6]byte, ok bool) {
	e := t.find(ip)
	if e == nil {
		e = t.oldest()
		*e = neighbor{ip: ip, ask: true, at: never, fresh: now}
	}
	switch {
	case e.at != never:
	case e.known && now >= e.fresh+confirmedFor:
		e.ask = true
	case e.failed() && now >= e.fresh+askEvery:
		e.ask, e.tries = true, 0
	}
	return e.mac, e.known
}

// oldest returns the entry to be used for another neighbor.
func (t *neighbors) oldest() *neighbor {
	old := &t.list[0]
	for i := range t.list {
		if e := &t.list[i]; e.ip == [4]byte{} {
			return e
		} else if e.fresh < old.fresh {
			old = e
		}
	}
	return old
}

// confirm notes that packets to a neighbor arrive.
func (t *neighbors) confirm(now time.Duration, ip [4]byte) {
	if e := t.find(ip); e != nil && e.known {
		e.fresh = now
	}
}

// suspect asks again for a neighbor from which nothing comes back; its address
// stays in use until another answer comes.
func (t *neighbors) suspect(now time.Duration, ip [4]byte) {
	if e := t.find(ip); e != nil && e.known && e.at == never && now >= e.fresh+suspectEvery {
		e.ask = true
	}
}

// missing tells whether a neighbor does not answer. A second later it is asked
// again by lookup.
func (t *neighbors) missing(ip [4]byte) bool {
	e := t.find(ip)
	return e != nil && e.failed()
}

func (e *neighbor) failed() bool { return !e.known && !e.ask && e.tries >= askTries && e.at == never }

// poll asks again, or gives up. It returns a neighbor that it gave up, and is to
// be called again then; zero: there is none.
func (t *neighbors) poll(now time.Duration) (missing [4]byte) {
	for i := range t.list {
		e := &t.list[i]
		if e.ip == [4]byte{} || now < e.at {
			continue
		}
		e.at = never
		e.ask = e.tries < askTries
		if !e.ask {
			e.known, e.fresh = false, now
			return e.ip
		}
	}
	return missing
}

func (t *neighbors) wake() time.Duration {
	w := never
	for i := range t.list {
		if e := &t.list[i]; e.ip != [4]byte{} {
			w = min(w, e.at)
		}
	}
	return w
}

// next returns a neighbor to be asked for, nil if there is none.
func (t *neighbors) next(now time.Duration) *neighbor {
	for i := range t.list {
		if e := &t.list[i]; e.ask && e.ip != [4]byte{} {
			e.ask = false
			e.tries++
			e.at = now + askEvery
			return e
		}
	}
	return nil
}

// learn takes what an ARP packet tells of its sender.
func (t *neighbors) learn(now time.Duration, ip [4]byte, mac [6]byte) {
	if e := t.find(ip); e != nil && mac[0]&1 == 0 {
		*e = neighbor{ip: ip, mac: mac, known: true, at: never, fresh: now}
	}
}

// receiveARP takes the body of an ARP packet.
func (n *Network) receiveARP(now time.Duration, b []byte) {
	f, err := arp.NewFrame(b)
	if err != nil || len(b) < arpSize {
		return
	}
	hardware, hardwareSize := f.Hardware()
	protocol, protocolSize := f.Protocol()
	if hardware != 1 || hardwareSize != 6 || protocol != ethernet.TypeIPv4 || protocolSize != 4 {
		return
	}
	if n.address == [4]byte{} {
		n.receiveWitness(now, f)
		return
	}
	mac, ip := f.Sender4()
	_, target := f.Target4()
	switch {
	case *mac == n.mac:
	case *ip == n.address:
		n.contest(now, *mac)
	default:
		n.neighbors.learn(now, *ip, *mac)
		if f.Operation() == arp.OpRequest && *target == n.address {
			n.neighbors.reply, n.neighbors.replyMAC = *ip, *mac
		}
	}
}

// contest defends the board's address against another host that uses it (RFC
// 5227, 2.4 c).
func (n *Network) contest(now time.Duration, mac [6]byte) {
	if now < n.neighbors.conflict {
		return
	}
	n.neighbors.conflict = now + conflictEvery
	n.neighbors.tell = true
	var ip, hw [17]byte
	n.k.Record(now, logring.Error, "Another host uses this board's address: check the DHCP server and fixed addresses").
		Bytes("address", ipv4.AppendFormatAddr(ip[:0], n.address)).
		Bytes("mac", ethernet.AppendAddr(hw[:0], mac)).End()
}

// nextARP writes an announcement, an answer or a question.
func (n *Network) nextARP(now time.Duration, p []byte) int {
	t := &n.neighbors
	q := query{to: broadcastMAC, from: n.address, op: arp.OpRequest}
	switch {
	case n.address == [4]byte{}:
		if !n.askWitness(&q) {
			return 0
		}
	case t.tell:
		t.tell, q.ip = false, n.address
	case t.replyMAC != [6]byte{}:
		q.op, q.to, q.ip = arp.OpReply, t.replyMAC, t.reply
		t.replyMAC = [6]byte{}
	default:
		e := t.next(now)
		if e == nil {
			return 0
		}
		q.ip = e.ip
	}
	return n.sendARP(p, &q)
}

// query is an ARP packet to be sent.
type query struct {
	op       arp.Operation
	to       [6]byte
	from, ip [4]byte // addresses of the sender and the target
}

func (n *Network) sendARP(p []byte, q *query) int {
	n.link(p, q.to, ethernet.TypeARP)
	f, _ := arp.NewFrame(p[ethernetSize : ethernetSize+arpSize])
	f.SetHardware(1, 6)
	f.SetProtocol(ethernet.TypeIPv4, 4)
	f.SetOperation(q.op)
	ownMAC, ownIP := f.Sender4()
	*ownMAC, *ownIP = n.mac, q.from
	targetMAC, targetIP := f.Target4()
	*targetMAC, *targetIP = [6]byte{}, q.ip
	if q.op == arp.OpReply {
		*targetMAC = q.to
	}
	return ethernetSize + arpSize
}
