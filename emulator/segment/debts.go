// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	// settleTime is how long a connection must have been silent before nothing is
	// owed on it: an answer may come in several pieces.
	settleTime = 30 * time.Millisecond
	// longSettleTime is the same in an answer so long that it has filled a segment: a host
	// that is busy with other things makes pauses.
	longSettleTime = time.Second
	// fullSegment is the payload of a segment that has been filled: of Ethernet's 1500 bytes
	// headers take 40, and options some.
	fullSegment = 1400
	// maxFlows bounds the connections of a station that are followed.
	maxFlows = 1024
)

// flow is one TCP connection between a station and the host.
type flow struct {
	byStation bool // the station has opened it
	asked     bool // who opened it has spoken last
	answered  bool // for good: who took it has sent its FIN
	long      bool // the answer has filled a segment
	unacked   uint32
	sent      uint32    // sequence number behind what the host has sent
	owedUntil time.Time // what is owed expires
	busyUntil time.Time // somebody has spoken not long ago
}

type flowKey struct {
	station  netip.AddrPort
	hostPort uint16
}

func (f *flow) isPending() bool { return f.asked || f.unacked > 0 }

// end is when nothing is owed any more, if nothing else happens.
func (f *flow) end() time.Time {
	if f.isPending() && f.owedUntil.After(f.busyUntil) {
		return f.owedUntil
	}
	return f.busyUntil
}

// debts follows the TCP connections of one station by their segments, and tells when
// the station waits for the host. What the host sends and the station acknowledges
// is looked at as well as questions, because a lost segment comes again when the
// host's time says so.
type debts struct {
	mu     sync.Mutex
	limit  time.Duration
	tell   func(owes bool)
	flows  map[flowKey]*flow
	owes   bool
	timer  *time.Timer
	closed bool
}

func (d *debts) init(limit time.Duration, tell func(bool)) {
	d.limit, d.tell, d.flows = limit, tell, map[flowKey]*flow{}
	d.timer = time.AfterFunc(time.Hour, d.expire)
}

func (d *debts) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.timer.Stop()
}

// fromStation notes a segment that the host hears.
func (d *debts) fromStation(f frame) {
	if f.tcp == nil {
		return
	}
	d.note(flowKey{netip.AddrPortFrom(f.ip.src, f.ports.src), f.ports.dst}, f, true)
}

// toStation notes a segment that the host sends.
func (d *debts) toStation(f frame) {
	if f.tcp == nil {
		return
	}
	d.note(flowKey{netip.AddrPortFrom(f.ip.dst, f.ports.dst), f.ports.src}, f, false)
}

func (d *debts) note(key flowKey, f frame, byStation bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	flags := f.tcp.Flags()
	if flags.Contains(header.TCPFlagRst) {
		delete(d.flows, key)
		d.update(now)
		return
	}
	c := d.flow(key, byStation, flags, now)
	if c == nil {
		return
	}
	if byStation {
		c.acknowledge(f.tcp)
	} else {
		c.send(f, now.Add(d.limit))
	}
	if speaks(f) {
		c.speak(byStation, flags, now.Add(d.limit))
		c.busyUntil = now.Add(c.settles())
	}
	d.update(now)
}

// speaks tells whether a segment says something that has a sequence number.
func speaks(f frame) bool {
	return len(f.payload) > 0 || f.tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagFin) != 0
}

// flow finds a connection, or begins one with its first segment.
func (d *debts) flow(key flowKey, byStation bool, flags header.TCPFlags, now time.Time) *flow {
	opens := flags.Contains(header.TCPFlagSyn) && !flags.Contains(header.TCPFlagAck)
	if c := d.flows[key]; c != nil && !opens {
		return c
	}
	if len(d.flows) >= maxFlows {
		d.forget(now)
	}
	if !opens || len(d.flows) >= maxFlows {
		return nil
	}
	c := &flow{byStation: byStation}
	d.flows[key] = c
	return c
}

// forget drops the connections on which nothing is owed.
func (d *debts) forget(now time.Time) {
	for key, c := range d.flows {
		if !c.end().After(now) {
			delete(d.flows, key)
		}
	}
}

// send notes up to where the host has sent.
func (c *flow) send(f frame, until time.Time) {
	end := f.tcp.SequenceNumber() + uint32(len(f.payload))
	if f.tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagFin) != 0 {
		end++
	}
	if f.tcp.Flags().Contains(header.TCPFlagSyn) {
		c.sent, c.unacked = end-1, 0
	}
	if ahead := int32(end - c.sent); ahead > 0 {
		c.sent, c.unacked, c.owedUntil = end, c.unacked+uint32(ahead), until
		c.long = c.long || len(f.payload) >= fullSegment
	}
}

func (c *flow) acknowledge(tcp header.TCP) {
	if !tcp.Flags().Contains(header.TCPFlagAck) {
		return
	}
	if missing := c.sent - tcp.AckNumber(); missing < c.unacked {
		c.unacked = missing
	}
}

// settles is how long the connection must be silent.
func (c *flow) settles() time.Duration {
	if c.long {
		return longSettleTime
	}
	return settleTime
}

// speak notes whose turn it is: who has opened a connection asks, the other answers.
// A station whose connection is accepted asks when it has something to ask, and who
// has sent its FIN is asked nothing more.
func (c *flow) speak(byStation bool, flags header.TCPFlags, until time.Time) {
	switch {
	case byStation == c.byStation && !c.answered:
		c.asked, c.long, c.owedUntil = true, false, until
	case byStation != c.byStation && (c.byStation || !flags.Contains(header.TCPFlagSyn)):
		c.asked = false
		c.answered = c.answered || flags.Contains(header.TCPFlagFin)
	}
}

func (d *debts) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update(time.Now())
}

// update tells what has changed, and looks again when it changes by itself.
func (d *debts) update(now time.Time) {
	if d.closed {
		return
	}
	var next time.Time
	owes := false
	for _, c := range d.flows {
		if end := c.end(); end.After(now) {
			owes = true
			if next.IsZero() || end.Before(next) {
				next = end
			}
		}
	}
	if owes {
		d.timer.Reset(next.Sub(now))
	}
	if owes != d.owes {
		d.owes = owes
		d.tell(owes)
	}
}
