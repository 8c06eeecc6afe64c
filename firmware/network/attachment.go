// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	"github.com/soypat/lneto/arp"

	"github.com/picolet/picolet/board"
)

// recheckAfter is how long the gateway must be out of reach before DHCP is asked
// whether the address and the name servers are still those of this network, and how
// long it takes from one such question to the next.
const recheckAfter = time.Minute

// witness is a neighbor whose answer shows that the board is on the network of
// its last lease (RFC 4436, section 2.1).
type witness struct {
	ip  [4]byte
	mac [6]byte // zero: there is none
	ask bool
}

// remember takes the neighbor that was heard last as the witness.
func (w *witness) remember(t *neighbors) {
	last := time.Duration(-1)
	for i := range t.list {
		if e := &t.list[i]; e.known && e.fresh > last {
			*w, last = witness{ip: e.ip, mac: e.mac}, e.fresh
		}
	}
}

// askWitness makes q a question to the witness, and reports whether it is to be
// asked. The question goes to the witness alone: on another network no other host
// must learn the address that it has as its source.
func (n *Network) askWitness(q *query) bool {
	w := &n.witness
	last, ok := n.dhcp.Last()
	if !w.ask || !ok || w.mac == [6]byte{} || !last.Local(w.ip) && w.ip != last.Router {
		return false
	}
	w.ask = false
	q.to, q.from, q.ip = w.mac, last.Address, w.ip
	return true
}

// receiveWitness takes an ARP packet while no address is in use. The witness's
// answer brings the last one back, whether a DHCP server answers or not.
func (n *Network) receiveWitness(now time.Duration, f arp.Frame) {
	mac, ip := f.Sender4()
	_, target := f.Target4()
	last, ok := n.dhcp.Last()
	if ok && f.Operation() == arp.OpReply && *mac == n.witness.mac && *ip == n.witness.ip && *target == last.Address {
		n.leaseEvent(now, n.dhcp.Reuse(now))
	}
}

// pollNeighbors lets ARP's time go on.
func (n *Network) pollNeighbors(now time.Duration) {
	for ip := n.neighbors.poll(now); ip != [4]byte{}; ip = n.neighbors.poll(now) {
		n.missed(now, ip)
	}
}

// missed acts on a neighbor that does not answer: it is no router, or the board
// is on another network, behind an access point that stayed up.
func (n *Network) missed(now time.Duration, ip [4]byte) {
	if n.dhcp.RouterMissing(ip) {
		lease, _ := n.dhcp.Lease()
		n.logMended(now, lease)
	}
	n.recheck(now)
}

// recheck asks DHCP again, as the way to the gateway is not found. The answer
// shows, too, that the access point still knows the board (see package wifi).
func (n *Network) recheck(now time.Duration) {
	if n.state.State == board.NetworkNoGateway && now >= max(n.state.Since, n.rechecked)+recheckAfter {
		n.rechecked = now
		n.dhcp.Recheck(now)
	}
}
