// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/soypat/lneto/arp"
	wiredhcp "github.com/soypat/lneto/dhcp/dhcpv4"
	wire "github.com/soypat/lneto/tcp"
	"github.com/soypat/lneto/udp"

	"github.com/picolet/picolet/firmware/network/tcp"
)

// host is another host. It frames what it sends with the functions under test:
// how they do it is checked by peers that are not ours, in gvisor_test.go.
type host struct {
	lan   *lan
	net   Network
	off   bool
	conns []*peer
	serve func(r *http.Request) []byte // Optional [connections are refused]
	raw   func(c *peer)                // Optional [serve answers]: takes what has come on a connection
	dhcp  *dhcpServer                  // Optional [none]
	dns   *dnsServer                   // Optional [none]
	udp   []packet                     // received, but for DHCP and DNS
}

// peer is a connection of a host.
type peer struct {
	conn    tcp.Conn
	to      route
	pending []byte
	got     []byte
	fin     bool // to be closed when all is sent
	eof     bool
	err     error
}

func newHost(l *lan, ip [4]byte, mac [6]byte) *host {
	return &host{lan: l, net: Network{mac: mac, address: ip, random: random(uint64(ip[3]) + 1)}}
}

func (h *host) send(size int, buf []byte) { h.lan.fly(true, buf[:size]) }

func (h *host) sendUDP(from, to uint16, dst [4]byte, mac [6]byte, payload []byte) {
	var buf [MaxFrame]byte
	copy(buf[udpStart:], payload)
	h.send(h.net.sendUDP(buf[:], mac, h.net.address, dst, from, to, len(payload)), buf[:])
}

func (h *host) receiveARP(body []byte) {
	f, err := arp.NewFrame(body)
	if err != nil {
		h.lan.t.Fatal(err)
	}
	mac, ip := f.Sender4()
	if _, target := f.Target4(); *target == h.net.address && f.Operation() == arp.OpRequest {
		h.sendARP(arp.OpReply, *mac, *ip)
	}
}

func (h *host) sendARP(op arp.Operation, mac [6]byte, ip [4]byte) {
	var buf [MaxFrame]byte
	h.send(h.net.sendARP(buf[:], &query{op: op, to: mac, from: h.net.address, ip: ip}), buf[:])
}

func (h *host) receive(p *packet) {
	switch {
	case p.protocol == 17:
		h.receiveUDP(p)
	case p.protocol == 6 && p.dst == h.net.address:
		h.receiveTCP(p)
	}
}

func (h *host) receiveUDP(p *packet) {
	u, err := udp.NewFrame(p.payload)
	if err != nil {
		h.lan.t.Fatal(err)
	}
	payload := p.payload[udpSize:]
	switch {
	case u.DestinationPort() == wiredhcp.DefaultServerPort:
		if h.dhcp != nil {
			h.dhcp.receive(p, payload)
		}
	case u.DestinationPort() == dnsPort && p.dst == h.net.address && h.dns != nil:
		h.dns.receive(h, u.SourcePort(), payload)
	default:
		c := *p
		c.payload = bytes.Clone(p.payload)
		h.udp = append(h.udp, c)
	}
}

func (h *host) receiveTCP(p *packet) {
	f, err := wire.NewFrame(p.payload)
	if err != nil {
		h.lan.t.Fatal(err)
	}
	payload := f.Payload()
	in := segment{
		Segment: f.Segment(len(payload)), payload: payload, mac: p.mac, peer: p.src,
		local: f.DestinationPort(), remote: f.SourcePort(), mss: maxSegmentOption(f.Options()),
	}
	for _, c := range h.conns {
		if c.to.local == in.local && c.to.remote == in.remote && !c.conn.Closed() {
			h.take(c, &in)
			return
		}
	}
	if in.Flags == wire.FlagSYN && h.serve != nil {
		h.accept(&in)
		return
	}
	if rst, ok := tcp.Refusal(in.Segment); ok {
		var buf [MaxFrame]byte
		h.send(h.net.sendSegment(buf[:], in.back(), rst, nil), buf[:])
	}
}

// accept answers a SYN; the handshake ends with the next segment.
func (h *host) accept(in *segment) {
	iss := uint32(h.net.random.next())
	c := &peer{to: in.back()}
	c.conn.Accept(h.lan.now, iss, uint32(in.SEQ), uint16(in.WND))
	h.conns = append(h.conns, c)
	var buf [MaxFrame]byte
	h.send(h.net.sendSegment(buf[:], c.to, wire.Segment{
		SEQ: wire.Value(iss), ACK: in.SEQ + 1, WND: tcp.Window, Flags: wire.FlagSYN | wire.FlagACK,
	}, nil), buf[:])
}

func (h *host) take(c *peer, in *segment) {
	got := c.conn.Receive(h.lan.now, in.Segment, in.mss)
	if got.Err != nil {
		c.err = got.Err
		return
	}
	if got.Stray {
		if rst, ok := tcp.Refusal(in.Segment); ok {
			var buf [MaxFrame]byte
			h.send(h.net.sendSegment(buf[:], in.back(), rst, nil), buf[:])
		}
		return
	}
	c.pending = c.pending[got.Acked:]
	c.got = append(c.got, in.payload[got.Skip:got.Skip+got.Data]...)
	c.conn.Take(got.Data, got.Fin)
	c.eof = c.eof || got.Fin
	c.fin = c.fin || got.Fin
	switch {
	case h.raw != nil:
		h.raw(c)
	case h.serve != nil:
		h.answer(c)
	}
}

// answer answers whole requests.
func (h *host) answer(c *peer) {
	for len(c.got) > 0 {
		rest := bytes.NewReader(c.got)
		buffered := bufio.NewReader(rest)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.got = c.got[len(c.got)-rest.Len()-buffered.Buffered():]
		c.pending = append(c.pending, h.serve(r)...)
	}
}

// dial opens a connection to the kubelet port and sends request.
func (h *host) dial(request string) *peer {
	c := &peer{to: route{mac: boardMAC, peer: boardIP, local: 20000 + uint16(len(h.conns)), remote: kubeletPort}, pending: []byte(request)}
	c.conn.Dial(h.lan.now, uint32(h.net.random.next()))
	h.conns = append(h.conns, c)
	return c
}

func (h *host) poll() {
	var buf [MaxFrame]byte
	for _, c := range h.conns {
		if err := c.conn.Tick(h.lan.now, len(c.pending)); err != nil {
			c.err = err
		}
		for !h.off {
			seg, data, ok := c.conn.Next(h.lan.now, c.pending, c.fin)
			if !ok {
				break
			}
			h.send(h.net.sendSegment(buf[:], c.to, seg, data), buf[:])
		}
	}
}

func (h *host) wake() time.Duration {
	w := never
	for _, c := range h.conns {
		w = min(w, c.conn.Wake())
	}
	return w
}

// dhcpServer gives one address.
type dhcpServer struct {
	lan     *lan
	host    *host
	slow    time.Duration // how much later than others it answers
	silent  bool
	mean    bool // it offers, and gives nothing
	nak     bool
	strict  bool // it refuses a request for another address than its own
	careful bool // it ignores such a one
	omit    []wiredhcp.OptNum
	address [4]byte
	mask    [4]byte
	router  [4]byte
	dns     [4]byte
	second  []byte // Optional: more name servers
	lease   uint32 // seconds
	asked   []wiredhcp.MessageType
	times   []time.Duration
	unicast int // messages that came to the server alone
}

func (s *dhcpServer) receive(p *packet, b []byte) {
	in, err := wiredhcp.NewFrame(b)
	if err != nil {
		s.lan.t.Fatal(err)
	}
	var kind wiredhcp.MessageType
	wanted := *in.CIAddr()
	if err := in.ForEachOption(func(_ int, o wiredhcp.OptNum, data []byte) error {
		switch o {
		case wiredhcp.OptMessageType:
			kind = wiredhcp.MessageType(data[0])
		case wiredhcp.OptRequestedIPaddress:
			wanted = [4]byte(data)
		}
		return nil
	}); err != nil {
		s.lan.t.Fatalf("options of the board's DHCP message: %v", err)
	}
	s.asked, s.times = append(s.asked, kind), append(s.times, s.lan.now)
	if p.dst == s.host.net.address {
		s.unicast++
	}
	foreign := kind == wiredhcp.MsgRequest && wanted != s.address
	if s.silent || s.mean && kind == wiredhcp.MsgRequest || s.careful && foreign {
		return
	}
	answer := wiredhcp.MsgOffer
	if kind == wiredhcp.MsgRequest {
		answer = wiredhcp.MsgAck
		if s.nak || s.strict && foreign {
			answer = wiredhcp.MsgNack
		}
	}
	s.send(in, answer)
}

func (s *dhcpServer) send(in wiredhcp.Frame, kind wiredhcp.MessageType) {
	out := make([]byte, 300)
	f, _ := wiredhcp.NewFrame(out)
	f.SetOp(wiredhcp.OpReply)
	f.SetHardware(1, 6, 0)
	f.SetXID(in.XID())
	*f.YIAddr() = s.address
	*f.CHAddrAs6() = *in.CHAddrAs6()
	f.SetMagicCookie(wiredhcp.MagicCookie)
	opts := binary.BigEndian.AppendUint32([]byte{byte(wiredhcp.OptIPAddressLeaseTime), 4}, s.lease)
	opts = append(opts, byte(wiredhcp.OptMessageType), 1, byte(kind))
	for number, value := range map[wiredhcp.OptNum][]byte{
		wiredhcp.OptServerIdentification: s.host.net.address[:], wiredhcp.OptSubnetMask: s.mask[:],
		wiredhcp.OptRouter: s.router[:], wiredhcp.OptDNSServers: append(s.dns[:], s.second...),
	} {
		if !slices.Contains(s.omit, number) {
			opts = append(append(opts, byte(number), byte(len(value))), value...)
		}
	}
	n := copy(f.OptionsPayload(), append(opts, 255))
	s.lan.delay += s.slow
	defer func() { s.lan.delay -= s.slow }()
	s.host.sendUDP(wiredhcp.DefaultServerPort, wiredhcp.DefaultClientPort, s.address, boardMAC, out[:wiredhcp.OptionsOffset+n])
}

// dnsServer answers every question in the same way.
type dnsServer struct {
	lan       *lan
	silent    bool
	code      byte
	truncated bool
	alias     string // Optional: names, separated by blanks: the one that is asked stands for the first
	reversed  bool   // records in the opposite order
	addresses [][4]byte
	ttl       uint32
	asked     int
	forge     func(question []byte) []byte // Optional: the answer instead
}

func (s *dnsServer) receive(h *host, port uint16, b []byte) {
	s.asked++
	m := message(b)
	_, end, ok := m.question(dnsHeader)
	if !ok || end != len(m) {
		s.lan.t.Fatalf("board's question is broken: %x", b)
	}
	if s.silent {
		return
	}
	if s.forge != nil {
		h.sendUDP(dnsPort, port, s.lan.n.address, boardMAC, s.forge(bytes.Clone(b)))
		return
	}
	out := bytes.Clone(b)
	out[2], out[3] = 0x81, 0x80|s.code
	if s.truncated {
		out[2] |= 2
	}
	records := s.records()
	out[7] = byte(len(records))
	if s.reversed {
		slices.Reverse(records)
	}
	h.sendUDP(dnsPort, port, s.lan.n.address, boardMAC, append(out, bytes.Join(records, nil)...))
}

// records are those of an answer. Of the names in alias each stands for the next.
func (s *dnsServer) records() (records [][]byte) {
	name := []byte{0xc0, dnsHeader}
	for alias := range strings.FieldsSeq(s.alias) {
		target := appendName(nil, alias)
		records = append(records, append(appendRecord(bytes.Clone(name), typeCNAME, dnsClassIN, s.ttl, uint16(len(target))), target...))
		name = target
	}
	for _, a := range s.addresses {
		records = append(records, appendA(bytes.Clone(name), dnsClassIN, s.ttl, a))
	}
	return records
}

// api is as much of an API server as a kubelet needs.
type api struct {
	node, lease bool
	requests    map[string]int
}

func newAPI() *api { return &api{requests: map[string]int{}} }

func (a *api) answer(r *http.Request) []byte {
	code, body := a.respond(r)
	if body == "" { // a watch: nothing happens on it
		return []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n")
	}
	return []byte(fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: Sat, 28 Feb 2026 23:59:50 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		code, http.StatusText(code), len(body), body))
}

// respond returns the status and the body of an answer, "" for a watch.
func (a *api) respond(r *http.Request) (code int, body string) {
	a.requests[r.Method+" "+strings.Split(r.URL.Path, "/")[1]]++
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/v1/nodes"):
		return a.object(&a.node, r.Method, `{"kind":"Node","metadata":{"name":"pico-1","uid":"1","resourceVersion":"7"}}`)
	case strings.Contains(path, "/leases"):
		return a.object(&a.lease, r.Method, `{"kind":"Lease","metadata":{"name":"pico-1","resourceVersion":"8"},"spec":{"holderIdentity":"pico-1"}}`)
	case strings.Contains(path, "/configmaps") && r.URL.Query().Get("watch") != "":
		return 200, ""
	case strings.Contains(path, "/configmaps"):
		return 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"9"},"items":[]}`
	}
	return 201, `{"kind":"Event"}`
}

func (a *api) object(there *bool, method, body string) (int, string) {
	switch {
	case method == http.MethodPost:
		*there = true
		return 201, body
	case !*there:
		return 404, `{"kind":"Status","status":"Failure","reason":"NotFound","code":404}`
	}
	return 200, body
}
