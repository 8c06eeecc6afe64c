// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"time"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/ipv4/icmpv4"
)

const (
	echoHeader = 8
	maxEcho    = echoHeader + 64 // ping sends 56 bytes by custom
)

// echo answers pings (RFC 1122, 3.2.2.6), one at a time, of up to 64 bytes.
type echo struct {
	to   route
	n    int // bytes of body; 0: nothing to answer
	body [maxEcho]byte
}

// receive keeps a request until it is answered. Others meanwhile are lost.
func (e *echo) receive(p *packet) {
	f, err := icmpv4.NewFrame(p.payload)
	if err != nil || e.n > 0 || f.Type() != icmpv4.TypeEcho || f.Code() != 0 || len(p.payload) > maxEcho {
		return
	}
	e.to = route{mac: p.mac, peer: p.src}
	e.n = copy(e.body[:], p.payload)
}

// nextEcho writes the answer.
func (n *Network) nextEcho(_ time.Duration, p []byte) int {
	e := &n.echo
	if e.n == 0 {
		return 0
	}
	body := p[bodyStart : bodyStart+e.n]
	copy(body, e.body[:e.n])
	f, _ := icmpv4.NewFrame(body)
	f.SetType(icmpv4.TypeEchoReply)
	f.SetCRC(0)
	var sum lneto.CRC791
	f.SetCRC(sum.PayloadSum16(body))
	n.header(p, e.to.mac, n.address, e.to.peer, lneto.IPProtoICMP, e.n)
	e.n = 0
	return bodyStart + len(body)
}
