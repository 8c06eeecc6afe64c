// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"testing"
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// Data counts only with an ACK that the peer could have meant: one of what was
// sent, and no older than its window (RFC 5961, section 5.2).
func TestBlindData(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ack   func(c *Conn) wire.Value
		taken bool
	}{
		"of all that was sent": {func(c *Conn) wire.Value { return c.top }, true},
		"old":                  {func(c *Conn) wire.Value { return c.una - Window }, true},
		"too old":              {func(c *Conn) wire.Value { return c.una - Window - 1 }, false},
		"much too old":         {func(c *Conn) wire.Value { return c.una - 1<<30 }, false},
		"of what was not sent": {func(c *Conn) wire.Value { return c.top + 1 }, false},
		"half a circle away":   {func(c *Conn) wire.Value { return c.una - 1<<31 }, false},
	}
	for name, tt := range tests {
		w := newWires(t, 5, 0)
		a := w.ends[0]
		a.pending = text(100, 0)
		w.pump()
		in := a.Receive(w.now, wire.Segment{SEQ: a.rcv, ACK: tt.ack(&a.Conn), DATALEN: 10, WND: Window, Flags: wire.FlagACK}, 0)
		if (in.Data == 10) != tt.taken {
			t.Errorf("%s: %+v", name, in)
		}
		if seg, _, ok := a.Next(w.now, a.pending, false); !tt.taken && (!ok || seg.ACK != a.rcv || seg.SEQ != a.nxt) {
			t.Errorf("%s: answered by %+v, %v", name, seg, ok)
		}
	}
}

// The window that counts for that is the largest that the peer ever had.
func TestBlindDataAfterWindowShrank(t *testing.T) {
	t.Parallel()
	w := newWires(t, 5, 0)
	w.run(time.Second)
	a := w.ends[0]
	a.Receive(w.now, wire.Segment{SEQ: a.rcv, ACK: a.una, WND: 1, Flags: wire.FlagACK}, 0)
	if in := a.Receive(w.now, wire.Segment{SEQ: a.rcv, ACK: a.una - Window, DATALEN: 10, WND: 1, Flags: wire.FlagACK}, 0); in.Data != 10 {
		t.Errorf("%+v", in)
	}
}

// Segments that do not fit are answered 10 times in 5 s at most (RFC 5961,
// section 7), those of one connection whatever another gets.
func TestChallengesAreLimited(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *Conn) wire.Segment{
		"reset":             func(c *Conn) wire.Segment { return wire.Segment{SEQ: c.rcv + 10, Flags: wire.FlagRST} },
		"SYN":               func(c *Conn) wire.Segment { return wire.Segment{SEQ: c.rcv, Flags: wire.FlagSYN} },
		"SYN far away":      func(c *Conn) wire.Segment { return wire.Segment{SEQ: c.rcv + 1<<30, Flags: wire.FlagSYN} },
		"SYN with data":     func(c *Conn) wire.Segment { return wire.Segment{SEQ: c.rcv - 100, DATALEN: 9, Flags: wire.FlagSYN} },
		"ACK of the future": func(c *Conn) wire.Segment { return wire.Segment{SEQ: c.rcv, ACK: c.top + 1, Flags: wire.FlagACK} },
		"ACK of the past": func(c *Conn) wire.Segment {
			return wire.Segment{SEQ: c.rcv, ACK: c.una - 1<<20, DATALEN: 5, Flags: wire.FlagACK}
		},
		"ACK far away": func(c *Conn) wire.Segment {
			return wire.Segment{SEQ: c.rcv + 1<<30, ACK: c.una, Flags: wire.FlagACK}
		},
	}
	for name, segment := range tests {
		w := newWires(t, 5, 0)
		a := w.ends[0]
		w.run(time.Second)
		answers := 0
		for range 5000 {
			w.now += time.Millisecond
			if in := a.Receive(w.now, segment(&a.Conn), 0); in.Err != nil || in.Data > 0 {
				t.Fatalf("%s: %+v", name, in)
			}
			if _, _, ok := a.Next(w.now, nil, false); ok {
				answers++
			}
		}
		if answers != maxChallenges {
			t.Errorf("%s: %d answers to 5 000 segments in 5 s", name, answers)
		}
		w.now += challengeInterval
		a.Receive(w.now, segment(&a.Conn), 0)
		if _, _, ok := a.Next(w.now, nil, false); !ok {
			t.Errorf("%s: no answer later", name)
		}
	}
}

// What a peer sends again because ACKs were lost is acknowledged each time.
func TestRepeatedDataIsAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWires(t, 5, 0)
	a := w.ends[0]
	w.run(time.Second)
	for i := range 2 * maxChallenges {
		a.Receive(w.now, wire.Segment{SEQ: a.rcv - 10, ACK: a.una, DATALEN: 10, WND: Window, Flags: wire.FlagACK}, 0)
		if _, _, ok := a.Next(w.now, nil, false); !ok {
			t.Fatalf("repetition %d is not acknowledged", i)
		}
	}
}
