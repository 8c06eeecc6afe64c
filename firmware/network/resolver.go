// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"math"
	"time"

	"github.com/soypat/lneto/dns"
)

// Bounds of a name's life, and of the questions for it.
const (
	minTTL       = 30 * time.Second
	maxTTL       = time.Hour
	maxAddresses = 4
	maxQuestions = 4
	maxRecords   = 32  // read of an answer
	maxAliases   = 8   // followed in it
	maxGateway   = 100 // bytes of the gateway's name
	dnsPort      = 53
	mdnsPort     = 5353
)

var (
	errNoName     = errors.New("the gateway's name is not in the DNS: check the name, and the network's name server")
	errNoServer   = errors.New("no name server answers for the gateway's name: check that it is on, or configure an address")
	errNoHost     = errors.New("no host answers mDNS for the gateway's name: check that it is on, and on this network, or configure an address")
	errNoResolver = errors.New("DHCP told no name server: configure the gateway by its address")
)

// resolver finds the addresses of the gateway by DNS, or by mDNS for a name
// that ends in .local. They hold as long as the answer tells, within bounds,
// and longer while no server has another (RFC 8767, section 4).
type resolver struct {
	name    string // "": the gateway is a literal address
	servers [2][4]byte

	addresses [maxAddresses][4]byte
	known     uint8         // addresses
	index     uint8         // of the one in use
	expires   time.Duration // when to ask again, at the next dial

	asking bool
	due    bool // a question is to be sent
	absent bool // a server has answered that there is no such address
	tries  uint8
	at     time.Duration // when to ask again
	port   uint16        // of the question; 0: none
	id     uint16
	server [4]byte // that was asked
	err    error   // the last search failed; until it was told
}

// setGateway reads host:port.
func (n *Network) setGateway(gateway string) bool {
	i := len(gateway) - 1
	for i >= 0 && gateway[i] != ':' {
		i--
	}
	if i < 0 {
		return false
	}
	port, ok := number(gateway[i+1:])
	if !ok || port == 0 || port > math.MaxUint16 {
		return false
	}
	n.gatewayPort = uint16(port)
	return n.resolver.setName(gateway[:i])
}

func (r *resolver) setName(host string) bool {
	if a, ok := parseAddress(host); ok {
		r.addresses[0], r.known, r.expires = a, 1, never
		return unicast(a)
	}
	r.name = host
	return validName(host, maxGateway) && !endsInNumber(host)
}

// endsInNumber tells whether the last label is a number, as in an address with
// a mistake; no name has such an end (RFC 1123, section 2.1).
func endsInNumber(name string) bool {
	for i := len(name) - 1; i >= 0 && name[i] != '.'; i-- {
		if name[i] < '0' || name[i] > '9' {
			return false
		}
	}
	return true
}

// parseAddress reads an IPv4 address in dotted decimal.
func parseAddress(s string) (a [4]byte, ok bool) {
	for i := range a {
		part, rest := cutLabel(s)
		v, ok := number(part)
		if !ok || v > math.MaxUint8 || len(part) > 1 && part[0] == '0' || (rest == "") != (i == 3) || i == 3 && len(part) != len(s) {
			return a, false
		}
		a[i], s = byte(v), rest
	}
	return a, true
}

// number reads 1 to 5 digits. strconv.ParseUint has error texts beside, which take
// 5 KB of a board's flash.
func number(s string) (n int, ok bool) {
	if s == "" || len(s) > 5 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}

// setServers takes the name servers of a lease.
func (r *resolver) setServers(servers [2][4]byte) { r.servers = servers }

// stop ends a search, as the network is gone.
func (r *resolver) stop() { r.asking, r.due, r.err, r.port = false, false, nil, 0 }

// current is the address in use, zero if none is known.
func (r *resolver) current() [4]byte { return r.addresses[r.index] }

// address returns the address to dial. If it is not known, it is searched for:
// ok is false until it is found, and then, or until err tells why not.
func (r *resolver) address(now time.Duration) (a [4]byte, ok bool, err error) {
	if r.err != nil {
		return a, false, r.err
	}
	if r.known > 0 && (now < r.expires || r.name == "") {
		return r.current(), true, nil
	}
	if !r.asking {
		r.asking, r.tries, r.absent = true, 0, false
		r.ask(now)
	}
	return a, false, nil
}

// told forgets a failure that all who waited for the search know.
func (r *resolver) told() { r.err = nil }

// fail notes that no connection to a can be made: the next address is used.
// After the last one, the name is searched for again.
func (r *resolver) fail(now time.Duration, a [4]byte) {
	if r.known == 0 || a != r.current() {
		return
	}
	if r.index++; r.index == r.known {
		r.index = 0
		r.expires = now
	}
}

// poll asks again, or gives up.
func (r *resolver) poll(now time.Duration) {
	if !r.asking || now < r.at {
		return
	}
	switch r.tries++; {
	case r.tries < maxQuestions:
		r.ask(now)
	case r.local():
		r.end(now, errNoHost)
	case r.absent:
		r.end(now, errNoName)
	default:
		r.end(now, errNoServer)
	}
}

// ask makes a question due. The time for its answer begins now: it is also that
// for the name server's hardware address.
func (r *resolver) ask(now time.Duration) {
	r.due, r.at = true, now+time.Second+time.Duration(r.tries/2)*time.Second
}

func (r *resolver) wake() time.Duration {
	if !r.asking {
		return never
	}
	return r.at
}

// end ends a search without an answer. Addresses that were good serve on.
func (r *resolver) end(now time.Duration, err error) {
	r.stop()
	if r.known > 0 {
		r.expires = now + minTTL
		return
	}
	r.err = err
}

// local tells whether the name is one of mDNS (RFC 6762, section 3).
func (r *resolver) local() bool {
	const suffix = ".local"
	i := len(r.name) - len(suffix)
	return i > 0 && equalFold([]byte(suffix), r.name[i:])
}

// choose returns whom to ask: the servers in turn.
func (r *resolver) choose() (server [4]byte, port uint16) {
	if r.local() {
		return multicastDNS, mdnsPort
	}
	server = r.servers[r.tries%2]
	if server == ([4]byte{}) {
		server = r.servers[0]
	}
	return server, dnsPort
}

// nextQuestion writes a question.
func (n *Network) nextQuestion(now time.Duration, p []byte) int {
	r := &n.resolver
	if !r.due || n.address == [4]byte{} {
		return 0
	}
	server, port := r.choose()
	mac, ok := MulticastMAC, true
	switch {
	case server == [4]byte{}:
		r.end(now, errNoResolver)
		return 0
	case server != multicastDNS:
		mac, ok = n.hop(now, server)
	}
	if !ok {
		return 0
	}
	r.due, r.server = false, server
	r.id, r.port = uint16(n.random.next()>>48), n.random.port()
	size := len(r.appendQuestion(p[udpStart:udpStart]))
	return n.sendUDP(p, mac, n.address, server, r.port, port, size)
}

func (r *resolver) appendQuestion(p []byte) []byte {
	const recursion = 1 << 8
	p = appendHeader(p, r.id, recursion, 1, 0, 0)
	p = appendName(p, r.name)
	return append(p, 0, typeA, 0, dnsClassIN)
}

// asked tells whether an answer may come from there.
func (r *resolver) asked(from [4]byte, port uint16) bool {
	if !r.asking || r.port == 0 {
		return false
	}
	return r.server == multicastDNS && port == mdnsPort || r.server == from && port == dnsPort
}

// receive takes an answer.
func (r *resolver) receive(now time.Duration, b []byte) {
	m := message(b)
	f, err := dns.NewFrame(b)
	if err != nil || f.TxID() != r.id || !f.Flags().IsResponse() || f.QDCount() != 1 {
		return
	}
	q, off, ok := m.question(dnsHeader)
	if !ok || q.kind != typeA || !m.nameIs(q.name, r.name) {
		return
	}
	switch code := f.Flags().ResponseCode(); {
	case code == dns.RCodeSuccess && r.take(now, m, off, int(f.ANCount())):
	case r.local(): // another host may know (RFC 6762, section 18.11)
	case code == dns.RCodeNameError, code == dns.RCodeSuccess && !f.Flags().IsTruncated():
		r.deny(now)
	default: // another server may know, or have a shorter answer (RFC 2181, section 9)
		r.at = now
	}
}

// receiveMulticast takes an answer that was sent to all hosts (RFC 6762, section
// 6), without the question and its number.
func (r *resolver) receiveMulticast(now time.Duration, b []byte) {
	m := message(b)
	f, err := dns.NewFrame(b)
	if err != nil || !r.asking || !r.local() || !f.Flags().IsResponse() {
		return
	}
	off, ok := dnsHeader, true
	for range min(int(f.QDCount()), maxMDNS) {
		if _, off, ok = m.question(off); !ok {
			return
		}
	}
	r.take(now, m, off, int(f.ANCount()))
}

// deny notes that a server knows no address. The other one is asked, too: it may
// know names of this network that the first does not.
func (r *resolver) deny(now time.Duration) {
	if r.tries > 0 || r.servers[1] == [4]byte{} {
		r.end(now, errNoName)
		return
	}
	r.absent, r.at = true, now
}

// take reads the addresses of an answer, through the names that stand for the
// one that was asked, in whatever order (RFC 1034, section 3.6.2). It reports whether
// there is one.
func (r *resolver) take(now time.Duration, m message, off, records int) bool {
	found, target := addresses{ttl: maxTTL}, -1
	for range 1 + maxAliases {
		if target = r.read(&found, m, off, records, target); found.n > 0 || target < 0 {
			break
		}
	}
	if found.n == 0 {
		return false
	}
	r.stop()
	r.addresses, r.known, r.index, r.expires = found.list, found.n, 0, now+max(found.ttl, minTTL)
	return true
}

// addresses are those of an answer.
type addresses struct {
	list [maxAddresses][4]byte
	n    uint8
	ttl  time.Duration // the shortest. One with its top bit set is long (RFC 8767, section 4)
}

// add adds an address that could be a host's.
func (s *addresses) add(a [4]byte, ttl time.Duration) {
	if unicast(a) {
		s.list[s.n] = a
		s.n++
		s.ttl = min(s.ttl, ttl)
	}
}

// read adds the addresses of a name, that at target, or if that is negative the
// one that was asked. It returns where the name is for which this one stands, -1
// if there is none.
func (r *resolver) read(to *addresses, m message, off, records, target int) (alias int) {
	alias = -1
	for range min(records, maxRecords) {
		rec, next, ok := m.record(off)
		if !ok {
			break
		}
		off = next
		switch {
		case rec.class&^dnsFlush != dnsClassIN, rec.ttl == 0 && r.local(): // RFC 6762, section 10.1: it ends
		case target >= 0 && !m.sameName(rec.name, target), target < 0 && !m.nameIs(rec.name, r.name):
		case rec.kind == typeCNAME:
			alias, to.ttl = rec.data, min(to.ttl, rec.ttl)
		case rec.kind == typeA && rec.size == 4 && to.n < maxAddresses:
			to.add([4]byte(m[rec.data:next]), rec.ttl)
		}
	}
	return alias
}
