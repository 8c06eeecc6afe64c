// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"math"
	"testing"
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// A peer that takes small segments gets small ones, but none so small that a board
// would send headers alone.
func TestSmallestSegments(t *testing.T) {
	t.Parallel()
	for told, want := range map[uint16]int{
		0: DefaultSegment, 1: minSegment, minSegment - 1: minSegment, minSegment: minSegment, 65: 65,
		MaxSegment: MaxSegment, math.MaxUint16: MaxSegment,
	} {
		var c Conn
		c.Dial(0, 100)
		syn, _, _ := c.Next(0, nil, false)
		in := c.Receive(trip, wire.Segment{SEQ: 9, ACK: syn.SEQ + 1, WND: math.MaxUint16, Flags: wire.FlagSYN | wire.FlagACK}, told)
		if !in.Opened {
			t.Fatalf("%d: %+v", told, in)
		}
		rest := text(6000, 0)
		for now := trip; len(rest) > 0; now += trip {
			seg, data, ok := c.Next(now, rest, false)
			if !ok || len(data) > want || len(data) < min(want, len(rest)) || int(seg.DATALEN) != len(data) {
				t.Fatalf("%d: segment of %d bytes while %d are left, want %d", told, len(data), len(rest), want)
			}
			rest = rest[c.Receive(now, wire.Segment{SEQ: 10, ACK: seg.SEQ + wire.Value(len(data)), WND: math.MaxUint16, Flags: wire.FlagACK}, 0).Acked:]
		}
	}
}

// However little a peer takes at a time, all arrives, in no more segments than it
// takes bites.
func TestSmallWindows(t *testing.T) {
	t.Parallel()
	for _, window := range []uint16{1, 2, 63, 535, 537} {
		w := newWires(t, 4, 0)
		a, b := w.ends[0], w.ends[1]
		w.run(time.Second)
		b.window, b.ackDue = window, true
		w.run(time.Second)
		sent := w.sent[0]
		a.pending, a.fin = text(600, 3), true
		w.run(time.Minute)
		if !bytes.Equal(b.got, text(600, 3)) || !b.eof || a.err != nil {
			t.Errorf("window of %d: %d bytes, end %v, error %v", window, len(b.got), b.eof, a.err)
		}
		if n, most := w.sent[0]-sent, 600/int(window)+3; n > most {
			t.Errorf("window of %d: %d segments, want at most %d", window, n, most)
		}
	}
}

// A window that never opens is probed with pauses, and the connection given up in
// the end, although the peer answers: it could hold the board's memory for ever.
func TestWindowStaysClosed(t *testing.T) {
	t.Parallel()
	w := newWires(t, 1, 0)
	a, b := w.ends[0], w.ends[1]
	w.run(time.Second)
	b.Hold()
	b.ackDue = true
	w.run(time.Second)
	begin, sent := w.now, w.sent[0]
	a.pending = text(2500, 0)
	for a.err == nil && w.step(begin+5*time.Minute) {
	}
	if took := w.now - begin; a.err != ErrTimeout || took < 30*time.Second || took > 90*time.Second {
		t.Errorf("%v after %v", a.err, took)
	}
	if n := w.sent[0] - sent; n > maxTries {
		t.Errorf("%d probes", n)
	}
	if len(b.got) != 0 {
		t.Errorf("%d bytes came through a closed window", len(b.got))
	}
}

// A window may be closed from the first answer on, and shrink behind what was sent.
func TestWindowOfTheFirstAnswer(t *testing.T) {
	t.Parallel()
	var c Conn
	c.Dial(0, 100)
	syn, _, _ := c.Next(0, nil, false)
	c.Receive(trip, wire.Segment{SEQ: 9, ACK: syn.SEQ + 1, Flags: wire.FlagSYN | wire.FlagACK}, 0)
	p := text(3000, 0)
	if seg, data, ok := c.Next(trip, p, false); !ok || len(data) != 0 || seg.Flags != wire.FlagACK {
		t.Fatalf("into a closed window: %+v, %d bytes", seg, len(data))
	}
	ack := func(at time.Duration, window wire.Size) {
		c.Receive(at, wire.Segment{SEQ: 10, ACK: syn.SEQ + 1, WND: window, Flags: wire.FlagACK}, 0)
	}
	ack(2*trip, 1000)
	sent := 0
	for _, data, ok := c.Next(2*trip, p, false); ok; _, data, ok = c.Next(2*trip, p, false) {
		sent += len(data)
	}
	if sent == 0 || sent > 1000 {
		t.Fatalf("%d bytes into a window of 1000", sent)
	}
	ack(3*trip, 10)
	if _, data, ok := c.Next(3*trip, p, false); ok {
		t.Errorf("%d bytes behind a window that has shrunk", len(data))
	}
	if err := c.Tick(10*time.Second, len(p)); err != nil {
		t.Fatal(err)
	}
	if _, data, ok := c.Next(10*time.Second, p, false); !ok || len(data) != 10 {
		t.Errorf("again: %d bytes into a window of 10", len(data))
	}
}

// FuzzOpen: whatever a peer's first answers say of its segments and windows, no more
// is sent than it takes, and waiting has an end.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(0), uint16(0), []byte{0, 0, 1, 0})
	f.Add(uint16(1), uint16(1), []byte{1, 1, 0, 0, 255, 1})
	f.Add(uint16(65535), uint16(65535), []byte{0, 255, 0, 10})
	f.Fuzz(func(t *testing.T, mss, window uint16, answers []byte) {
		var c Conn
		c.Dial(0, 100)
		syn, _, _ := c.Next(0, nil, false)
		c.Receive(0, wire.Segment{SEQ: 9, ACK: syn.SEQ + 1, WND: wire.Size(window), Flags: wire.FlagSYN | wire.FlagACK}, mss)
		pending, edge, now := text(3000, 0), syn.SEQ+1+wire.Value(window), time.Duration(0)
		for ; len(answers) >= 2 && len(pending) > 0; answers = answers[2:] {
			now += time.Duration(answers[0]) * time.Second / 8
			if c.Tick(now, len(pending)) != nil {
				return
			}
			probe := wire.Value(1)
			for range 200 {
				seg, data, ok := c.Next(now, pending, false)
				if !ok {
					break
				}
				if end := seg.SEQ + wire.Value(len(data)); before(edge+probe, end) {
					t.Fatalf("%d bytes up to %d, the window ends at %d", len(data), end, edge)
				}
			}
			if _, _, ok := c.Next(now, pending, false); ok {
				t.Fatal("Next does not come to an end")
			}
			ack := c.una + wire.Value(answers[0])%(c.top-c.una+1)
			edge = max(edge, ack+wire.Value(answers[1]))
			pending = pending[c.Receive(now, wire.Segment{SEQ: c.rcv, ACK: ack, WND: wire.Size(answers[1]), Flags: wire.FlagACK}, 0).Acked:]
		}
		if len(pending) > 0 && c.Tick(now, len(pending)) == nil && c.Wake() == never {
			t.Fatal("the connection waits for ever")
		}
	})
}
