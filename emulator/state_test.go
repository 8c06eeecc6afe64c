// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"testing"
	"time"
)

// TestConditionCountsUntilItsLimit: what a board tells decides by its emulated time,
// whenever it is read.
func TestConditionCountsUntilItsLimit(t *testing.T) {
	t.Parallel()
	const limit = 30 * time.Millisecond
	for _, tt := range []struct {
		what string
		told []message
		want error
		open bool // the wait goes on
	}{
		{what: "in time", told: []message{{kindConsole, limit - 1, []byte("ready")}}},
		{what: "just in time", told: []message{{kindConsole, limit, []byte("ready")}}},
		{what: "late", told: []message{{kindConsole, limit + 1, []byte("ready")}}, want: errTooLate},
		{what: "in pieces", told: []message{{kindConsole, 1, []byte("not rea")}, {kindConsole, 2, []byte("dy yet")}}},
		{what: "the limit is told", told: []message{{kindEvent, limit, []byte(`{"time":30000000}`)}}, want: errTooLate},
		{what: "nothing yet", told: []message{{kindTime, limit - 1, nil}, {kindEvent, limit - 1, []byte(`{"led":true}`)}}, open: true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			b := &Board{}
			b.console.board = b
			w := &waiter{cond: b.console.finder([]byte("ready")), until: limit, met: make(chan error, 1)}
			b.waiters = []*waiter{w}
			for _, m := range tt.told {
				if err := b.handle(m); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-w.met:
				if tt.open || err != tt.want {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			default:
				if !tt.open {
					t.Error("the wait goes on")
				}
			}
		})
	}
}

func TestEventsMakeTheState(t *testing.T) {
	t.Parallel()
	b := &Board{}
	b.console.board = b
	for _, e := range []string{
		`{"reset":{"cause":"power-on","nanos":0}}`, `{"led":true}`, `{"joined":true}`, `{"pin":15,"level":2.25}`,
		`{"pin":3,"level":0}`, `{"pin":4,"level":1}`, `{"pin":4,"level":-1}`, `{"pin":30,"level":1}`, `{"halt":"bus","kind":"GuestFault"}`,
	} {
		if err := b.handle(message{kindEvent, time.Second, []byte(e)}); err != nil {
			t.Fatal(err)
		}
	}
	s := b.State()
	if !s.LED || !s.Joined || s.Pins[15] != (Pin{PWM, 0.25}) || s.Pins[3] != (Pin{Level: Low}) || s.Pins[4] != (Pin{}) {
		t.Errorf("%+v", s)
	}
	if len(s.Resets) != 1 || s.Resets[0].Cause != "power-on" || s.Halt != "bus" || s.Now != time.Second {
		t.Errorf("%+v", s)
	}
	if got := s.Pins[15].String() + " " + s.Pins[3].String(); got != "PWM:0.250 low" {
		t.Errorf("pins: %s", got)
	}
	if err := b.handle(message{kind: 'x'}); err == nil {
		t.Error("a message of unknown kind is taken")
	}
	if err := b.handle(message{kindEvent, 0, []byte("{")}); err == nil {
		t.Error("an event that is cut is taken")
	}
}

func TestConsoleKeepsItsEnd(t *testing.T) {
	t.Parallel()
	b := &Board{}
	b.console.board = b
	for range 5 {
		b.console.add(make([]byte, maxConsole/2))
	}
	b.console.add([]byte("end"))
	if text := b.console.Text(); len(text) > 2*maxConsole || len(text) < maxConsole || text[len(text)-3:] != "end" {
		t.Errorf("%d bytes are kept", len(text))
	}
	if find := b.console.finder([]byte("end")); !find(State{}) || find(State{}) {
		t.Error("the end is not found once")
	}
}
