// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// end is a connection with what its owner holds for it.
type end struct {
	Conn
	pending []byte
	fin     bool
	got     []byte
	eof     bool
	err     error
}

// take does what an owner does with a segment.
func (e *end) take(now time.Duration, seg wire.Segment, payload []byte, mss uint16) Input {
	in := e.Receive(now, seg, mss)
	if in.Err != nil {
		e.err = in.Err
		return in
	}
	e.pending = e.pending[in.Acked:]
	e.got = append(e.got, payload[in.Skip:in.Skip+in.Data]...)
	e.Take(in.Data, in.Fin)
	e.eof = e.eof || in.Fin
	return in
}

// flight is a segment on its way.
type flight struct {
	at   time.Duration
	to   *end
	seg  wire.Segment
	data []byte
}

// wires joins two ends in virtual time.
type wires struct {
	now    time.Duration
	ends   [2]*end
	rand   *rand.Rand
	loss   float64 // part of the segments that are lost, and as many that come twice or late
	flying []flight
	sent   [2]int // segments
}

const trip = 5 * time.Millisecond

// newWires returns two ends of an open connection; the first has dialled.
func newWires(t *testing.T, seed uint64, loss float64) *wires {
	t.Helper()
	w := &wires{rand: rand.New(rand.NewPCG(seed, 1)), loss: loss, ends: [2]*end{{}, {}}}
	iss := uint32(seed * 0x9e3779b9)
	w.ends[0].Dial(0, iss)
	w.ends[1].Accept(0, ^iss, iss, Window)
	syn, _, ok := w.ends[0].Next(0, nil, false)
	if !ok || syn.Flags != wire.FlagSYN || syn.SEQ != wire.Value(iss) {
		t.Fatalf("first segment is %+v", syn)
	}
	in := w.ends[0].Receive(trip, wire.Segment{SEQ: wire.Value(^iss), ACK: syn.SEQ + 1, WND: Window, Flags: wire.FlagSYN | wire.FlagACK}, 1000)
	if !in.Opened || !w.ends[0].Open() {
		t.Fatalf("dial did not succeed: %+v", in)
	}
	w.now = trip
	return w
}

// pump sends what both ends want to.
func (w *wires) pump() {
	for i, e := range w.ends {
		for {
			seg, data, ok := e.Next(w.now, e.pending, e.fin)
			if !ok {
				break
			}
			w.sent[i]++
			f := flight{w.now + trip, w.ends[1-i], seg, bytes.Clone(data)}
			if w.rand.Float64() < w.loss {
				continue
			}
			if w.rand.Float64() < w.loss {
				f.at += time.Duration(w.rand.IntN(8)) * trip
			}
			w.flying = append(w.flying, f)
			if w.rand.Float64() < w.loss {
				f.at += trip
				w.flying = append(w.flying, f)
			}
		}
	}
}

// step goes on to the next thing that happens; false: nothing before end.
func (w *wires) step(end time.Duration) bool {
	w.tick()
	w.pump()
	next := min(w.ends[0].Wake(), w.ends[1].Wake())
	for _, f := range w.flying {
		next = min(next, f.at)
	}
	if next = max(next, w.now); next > end {
		w.now = end
		return false
	}
	w.now = next
	due := w.flying
	w.flying = nil
	for _, f := range due {
		if f.at > w.now {
			w.flying = append(w.flying, f)
			continue
		}
		f.to.take(w.now, f.seg, f.data, 0)
	}
	w.tick()
	return true
}

func (w *wires) tick() {
	for _, e := range w.ends {
		if err := e.Tick(w.now, len(e.pending)); err != nil {
			e.err = err
		}
	}
}

func (w *wires) run(d time.Duration) {
	for end := w.now + d; w.step(end); {
	}
}

func text(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>8)*31 + byte(i) + seed
	}
	return p
}
