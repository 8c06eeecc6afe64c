// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// Whatever a network does, all bytes arrive once and in order, and both ends
// close.
func TestTransfer(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.1, 0.2} {
		for seed := range uint64(40) {
			t.Run(fmt.Sprintf("%.0f%%/%d", loss*100, seed), func(t *testing.T) {
				t.Parallel()
				w := newWires(t, seed, loss)
				a, b := w.ends[0], w.ends[1]
				up, down := text(3000, 1), text(40_000, 2)
				a.pending, b.pending, a.fin, b.fin = up, down, true, true
				for end := 10 * time.Minute; !(a.eof && b.eof && a.Quiet() && b.Quiet()) && a.err == nil && b.err == nil; {
					if !w.step(end) {
						t.Fatalf("no end in sight: %d and %d bytes arrived", len(b.got), len(a.got))
					}
				}
				if !bytes.Equal(b.got, up) || !bytes.Equal(a.got, down) {
					t.Errorf("got %d of %d and %d of %d bytes, errors %v, %v", len(b.got), len(up), len(a.got), len(down), a.err, b.err)
				}
				if limit := 4 * time.Minute; w.now > limit {
					t.Errorf("took %v", w.now)
				}
			})
		}
	}
}

// A lost segment among others is sent again before its time-out.
func TestFastRetransmit(t *testing.T) {
	t.Parallel()
	w := newWires(t, 3, 0)
	b := w.ends[1]
	w.ends[0].pending = text(4*536, 0)
	w.ends[0].mss = 536
	w.pump()
	w.flying = append(w.flying[:0], w.flying[1:]...)
	begin := w.now
	for len(b.got) < 4*536 && w.step(time.Minute) {
	}
	if took := w.now - begin; took >= minTimeout {
		t.Errorf("arrived after %v, not before the time-out of %v", took, minTimeout)
	}
}

func TestDialIsRefused(t *testing.T) {
	t.Parallel()
	var c Conn
	c.Dial(0, 100)
	syn, _, _ := c.Next(0, nil, false)
	if in := c.Receive(0, wire.Segment{ACK: syn.SEQ + 7, Flags: wire.FlagRST | wire.FlagACK}, 0); in.Err != nil || in.Stray {
		t.Fatalf("RST of another connection: %+v", in)
	}
	if in := c.Receive(0, wire.Segment{SEQ: 5, Flags: wire.FlagRST}, 0); in.Err != nil {
		t.Fatalf("RST without ACK: %+v", in)
	}
	if in := c.Receive(0, wire.Segment{SEQ: 9, ACK: syn.SEQ + 7, Flags: wire.FlagACK}, 0); !in.Stray {
		t.Fatalf("ACK of another connection, as in TIME-WAIT: %+v", in)
	}
	if in := c.Receive(0, wire.Segment{ACK: syn.SEQ + 1, Flags: wire.FlagRST | wire.FlagACK}, 0); in.Err != ErrRefused || !c.Closed() {
		t.Fatalf("RST: %+v", in)
	}
}

func TestDialIsNotAnswered(t *testing.T) {
	t.Parallel()
	var c Conn
	c.Dial(0, 100)
	var sent []time.Duration
	for now := time.Duration(0); ; now = c.Wake() {
		if err := c.Tick(now, 0); err != nil {
			if err != ErrNoReply || now != 7*time.Second {
				t.Errorf("ended at %v by %v", now, err)
			}
			break
		}
		if _, _, ok := c.Next(now, nil, false); ok {
			sent = append(sent, now)
		}
	}
	if fmt.Sprint(sent) != "[0s 1s 3s]" {
		t.Errorf("SYNs at %v", sent)
	}
}

func TestPeerVanishesWithData(t *testing.T) {
	t.Parallel()
	w := newWires(t, 1, 0)
	a := w.ends[0]
	w.loss = 1
	a.pending = text(100, 0)
	w.run(time.Minute)
	if a.err != ErrTimeout || !a.Closed() {
		t.Errorf("ended by %v", a.err)
	}
	if n := w.sent[0]; n != maxTries+1 {
		t.Errorf("sent %d segments", n)
	}
}

func TestPeerVanishesInSilence(t *testing.T) {
	t.Parallel()
	w := newWires(t, 1, 0)
	w.run(10 * time.Minute)
	if w.ends[0].err != nil || w.ends[1].err != nil {
		t.Fatalf("ended by %v, %v, although both are there", w.ends[0].err, w.ends[1].err)
	}
	w.loss = 1
	begin := w.now
	for w.ends[0].err == nil && w.step(begin+5*time.Minute) {
	}
	if took := w.now - begin; w.ends[0].err != ErrTimeout || took > keepAliveIdle+keepAliveProbes*keepAliveEvery+time.Second {
		t.Errorf("%v after %v", w.ends[0].err, took)
	}
}

// A window that closes is probed, also if the segment that opens it is lost.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"update arrives": false, "update is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWires(t, 1, 0)
			a, b := w.ends[0], w.ends[1]
			w.run(time.Second)
			b.Hold()
			b.ackDue = true
			w.run(time.Second)
			a.pending = text(2500, 0)
			w.run(10 * time.Second)
			if len(b.got) != 0 || a.err != nil {
				t.Fatalf("%d bytes came through a closed window, %v", len(b.got), a.err)
			}
			b.Resume()
			if lost {
				b.ackDue = false
			}
			begin := w.now
			w.run(20 * time.Second)
			if !bytes.Equal(b.got, text(2500, 0)) {
				t.Fatalf("%d bytes came through, %v after the window opened", len(b.got), w.now-begin)
			}
		})
	}
}

// What an owner does not take is not acknowledged, and sent again.
func TestHold(t *testing.T) {
	t.Parallel()
	w := newWires(t, 1, 0)
	a, b := w.ends[0], w.ends[1]
	a.pending = text(700, 0)
	seg, data, _ := a.Next(w.now, a.pending, false)
	for in := b.Receive(w.now, seg, 0); in.Data != 700; {
		t.Fatalf("%+v", in)
	}
	b.Take(300, false)
	b.Hold()
	b.got = append(b.got, data[:300]...)
	w.run(5 * time.Second)
	if len(a.pending) != 400 || len(b.got) != 300 {
		t.Fatalf("%d bytes are pending, %d arrived", len(a.pending), len(b.got))
	}
	b.Resume()
	w.run(5 * time.Second)
	if !bytes.Equal(b.got, text(700, 0)) {
		t.Errorf("%d bytes arrived", len(b.got))
	}
}

func TestSegmentsThatDoNotFit(t *testing.T) {
	t.Parallel()
	const far = 1 << 20
	tests := map[string]struct {
		seg   wire.Segment // SEQ and ACK relative to what the connection expects
		ack   bool         // it answers
		ended bool
	}{
		"reset":                {wire.Segment{Flags: wire.FlagRST}, false, true},
		"reset nearby":         {wire.Segment{SEQ: 10, Flags: wire.FlagRST}, true, false},
		"reset far away":       {wire.Segment{SEQ: far, Flags: wire.FlagRST}, false, false},
		"SYN in window":        {wire.Segment{SEQ: 1, Flags: wire.FlagSYN}, true, false},
		"SYN far away":         {wire.Segment{SEQ: far, Flags: wire.FlagSYN}, true, false},
		"keep-alive":           {wire.Segment{SEQ: ^wire.Value(0), Flags: wire.FlagACK}, true, false},
		"keep-alive of a byte": {wire.Segment{SEQ: ^wire.Value(0), DATALEN: 1, Flags: wire.FlagACK}, true, false},
		"ACK of the future":    {wire.Segment{ACK: 1, Flags: wire.FlagACK}, true, false},
		"data with that":       {wire.Segment{ACK: 1, DATALEN: 5, Flags: wire.FlagACK}, true, false},
		"ACK of the past":      {wire.Segment{ACK: ^wire.Value(9), Flags: wire.FlagACK}, false, false},
		"no ACK":               {wire.Segment{DATALEN: 5}, false, false},
		"data after a gap":     {wire.Segment{SEQ: 5, DATALEN: 5, Flags: wire.FlagACK}, true, false},
		"FIN after a gap":      {wire.Segment{SEQ: 5, Flags: wire.FlagACK | wire.FlagFIN}, true, false},
		"data beyond window":   {wire.Segment{SEQ: Window, DATALEN: 5, Flags: wire.FlagACK}, true, false},
		"old data":             {wire.Segment{SEQ: ^wire.Value(4), DATALEN: 5, Flags: wire.FlagACK}, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWires(t, 5, 0)
			w.run(time.Second)
			a := w.ends[0]
			tt.seg.SEQ += a.rcv
			tt.seg.ACK += a.una
			tt.seg.WND = Window
			rcv, una := a.rcv, a.una
			in := a.take(w.now, tt.seg, make([]byte, tt.seg.DATALEN), 0)
			if (in.Err != nil) != tt.ended || in.Data > 0 || in.Acked > 0 || in.Fin || in.Opened {
				t.Errorf("%+v", in)
			}
			if tt.ended {
				return
			}
			seg, _, ok := a.Next(w.now, nil, false)
			if ok != tt.ack || ok && (seg.SEQ != a.nxt || seg.ACK != rcv || seg.Flags != wire.FlagACK) {
				t.Errorf("answers %v, %+v", ok, seg)
			}
			if a.rcv != rcv || a.una != una {
				t.Errorf("moved from %d, %d to %d, %d", rcv, una, a.rcv, a.una)
			}
		})
	}
}

// Data that overlaps what was received is taken from where it is new.
func TestOverlap(t *testing.T) {
	t.Parallel()
	w := newWires(t, 9, 0)
	a := w.ends[0]
	p := text(20, 0)
	a.take(w.now, wire.Segment{SEQ: a.rcv, ACK: a.una, DATALEN: 10, WND: 1, Flags: wire.FlagACK}, p[:10], 0)
	a.take(w.now, wire.Segment{SEQ: a.rcv - 5, ACK: a.una, DATALEN: 15, WND: 1, Flags: wire.FlagACK | wire.FlagFIN}, p[5:], 0)
	if !bytes.Equal(a.got, p) || !a.eof {
		t.Errorf("got %v, end %v", a.got, a.eof)
	}
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	w := newWires(t, 2, 0)
	a, b := w.ends[0], w.ends[1]
	a.pending, a.fin = text(10, 0), true
	w.run(time.Second)
	if !b.eof || a.finDone == false || a.Done() {
		t.Fatalf("b has seen the end: %v, a knows: %v", b.eof, a.finDone)
	}
	b.pending = text(5000, 1)
	w.run(time.Second)
	if !bytes.Equal(a.got, text(5000, 1)) {
		t.Fatalf("%d bytes after the half close", len(a.got))
	}
	b.fin = true
	w.run(time.Second)
	if !a.Done() || !b.Done() {
		t.Errorf("done: %v, %v", a.Done(), b.Done())
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	w := newWires(t, 2, 0)
	w.run(time.Second)
	seg := w.ends[0].Reset()
	if in := w.ends[1].Receive(w.now, seg, 0); in.Err != ErrReset || !w.ends[0].Closed() {
		t.Errorf("%+v", in)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	if _, ok := Refusal(wire.Segment{Flags: wire.FlagRST | wire.FlagACK}); ok {
		t.Error("a RST is answered")
	}
	if rst, ok := Refusal(wire.Segment{SEQ: 7, Flags: wire.FlagSYN}); !ok || rst.ACK != 8 || rst.Flags != wire.FlagRST|wire.FlagACK {
		t.Errorf("%+v", rst)
	}
	if rst, ok := Refusal(wire.Segment{SEQ: 7, ACK: 9, Flags: wire.FlagACK}); !ok || rst.SEQ != 9 || rst.Flags != wire.FlagRST {
		t.Errorf("%+v", rst)
	}
}

// Round trips set the time-out, within its bounds.
func TestTimeout(t *testing.T) {
	t.Parallel()
	var r rtt
	if d := r.timeout(0); d != time.Second {
		t.Errorf("%v before the first round trip", d)
	}
	for i := range 50 {
		at := time.Duration(i) * time.Second
		r.time(at, wire.Value(i))
		r.sample(at+400*time.Millisecond, wire.Value(i))
	}
	if d := r.timeout(0); d < 400*time.Millisecond || d > 500*time.Millisecond {
		t.Errorf("%v after round trips of 400 ms", d)
	}
	if d := r.timeout(200); d != maxTimeout {
		t.Errorf("%v after 200 tries", d)
	}
}

// FuzzReceive gives an open connection any segments: what it hands on must lie
// within the segment, and what it sends within what is pending.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{16, 0, 0, 0, 10, 17, 1, 0, 0, 0}, uint16(100))
	f.Add([]byte{4, 5, 0, 0, 0}, uint16(0))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		w := newWires(t, 1, 0)
		a := w.ends[0]
		a.pending = make([]byte, int(size)%5000)
		for now := w.now; len(in) >= 5; in, now = in[5:], now+time.Duration(in[4])*time.Second/16 {
			seg := wire.Segment{
				Flags: wire.Flags(in[0] & 0x3f), SEQ: a.rcv + wire.Value(int8(in[1]))*50, ACK: a.una + wire.Value(int8(in[2]))*20,
				DATALEN: wire.Size(in[3]) * 5, WND: wire.Size(in[2]) * 16,
			}
			a.take(now, seg, make([]byte, seg.DATALEN), uint16(in[4]))
			if err := a.Tick(now, len(a.pending)); err != nil || a.Closed() {
				return
			}
			for range 100 {
				if _, _, ok := a.Next(now, a.pending, in[4]&1 == 1); !ok {
					break
				}
			}
			if _, _, ok := a.Next(now, a.pending, in[4]&1 == 1); ok {
				t.Fatal("Next does not come to an end")
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	w := newWires(t, 1, 0)
	a, b := w.ends[0], w.ends[1]
	p := text(1000, 0)
	if n := testing.AllocsPerRun(100, func() {
		a.pending = p
		for len(a.pending) > 0 {
			for seg, _, ok := a.Next(w.now, a.pending, false); ok; seg, _, ok = a.Next(w.now, a.pending, false) {
				in := b.Receive(w.now, seg, 0)
				b.Take(in.Data, false)
			}
			for seg, _, ok := b.Next(w.now, nil, false); ok; seg, _, ok = b.Next(w.now, nil, false) {
				a.pending = a.pending[a.Receive(w.now, seg, 0).Acked:]
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
