// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsPort = 53
	dnsTTL  = 60 // seconds
)

// answerDNS returns the frame that answers a query, nil for silence. It knows the
// names of the configuration; there are no others in the world.
func (s *Segment) answerDNS(f frame) []byte {
	var parser dnsmessage.Parser
	head, err := parser.Start(f.payload)
	if err != nil || head.Response {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{question},
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	addr, known := s.config.Names[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	} else if question.Type == dnsmessage.TypeA && addr.Is4() {
		m.Answers = append(m.Answers, addressRecord(question, addr))
	}
	payload, err := m.Pack()
	if err != nil {
		return nil
	}
	return datagram{
		to: f.src, src: netip.AddrPortFrom(s.addr, dnsPort), dst: netip.AddrPortFrom(f.ip.src, f.ports.src), payload: payload,
	}.frame()
}

func addressRecord(q dnsmessage.Question, a netip.Addr) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: dnsTTL},
		Body:   &dnsmessage.AResource{A: a.As4()},
	}
}
