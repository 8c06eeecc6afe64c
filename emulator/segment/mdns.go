// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	mdnsPort = 5353
	// mdnsInterval is the least time between two queries, RFC 6762 section 5.2.
	mdnsInterval = time.Second
)

var (
	mdnsMAC  = mac{0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb}
	mdnsAddr = netip.AddrFrom4([4]byte{224, 0, 0, 251})
)

// mdnsQuery waits for the address of a name.
type mdnsQuery struct {
	name  string
	found chan netip.Addr
}

// LookupMDNS asks the stations by multicast DNS who has a name, "pico-1.local", until
// one answers or ctx ends. RFC 6762.
func (s *Segment) LookupMDNS(ctx context.Context, name string) (netip.Addr, error) {
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return netip.Addr{}, fmt.Errorf("segment: look up %q: %w", name, err)
	}
	message := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: full, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	payload, err := message.Pack()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("segment: look up %q: %w", name, err)
	}
	query := &mdnsQuery{name: strings.ToLower(full.String()), found: make(chan netip.Addr, 1)}
	s.addQuery(query)
	defer s.removeQuery(query)
	ask := datagram{
		to: mdnsMAC, src: netip.AddrPortFrom(s.addr, mdnsPort), dst: netip.AddrPortFrom(mdnsAddr, mdnsPort), payload: payload,
	}.frame()
	return s.repeat(ctx, query, ask)
}

func (s *Segment) repeat(ctx context.Context, query *mdnsQuery, ask []byte) (netip.Addr, error) {
	ticker := time.NewTicker(mdnsInterval)
	defer ticker.Stop()
	for {
		s.say(ask)
		select {
		case a := <-query.found:
			return a, nil
		case <-ctx.Done():
			return netip.Addr{}, fmt.Errorf("segment: look up %s: no station has answered: %w", query.name, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

func (s *Segment) addQuery(q *mdnsQuery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mdns = append(s.mdns, q)
}

func (s *Segment) removeQuery(q *mdnsQuery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mdns = slices.DeleteFunc(s.mdns, func(o *mdnsQuery) bool { return o == q })
}

// hearMDNS gives the addresses in an answer to those who asked.
func (s *Segment) hearMDNS(f frame) {
	var m dnsmessage.Message
	if err := m.Unpack(f.payload); err != nil || !m.Response {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range m.Answers {
		a, ok := r.Body.(*dnsmessage.AResource)
		if !ok {
			continue
		}
		for _, q := range s.mdns {
			if strings.EqualFold(q.name, r.Header.Name.String()) {
				select {
				case q.found <- netip.AddrFrom4(a.A):
				default: // answered already
				}
			}
		}
	}
}
