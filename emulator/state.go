// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NumPins is the number of the RP2040's GPIO pins.
const NumPins = 30

// Level is what the guest makes of a pin.
type Level uint8

// Levels.
const (
	Floating Level = iota // the guest does not drive it
	Low
	High
	PWM
)

// Pin is what the guest makes of a pin; Duty is the part of the time, 0 to 1, that
// PWM has it high.
type Pin struct {
	Level Level
	Duty  float64
}

func (p Pin) String() string {
	if p.Level == PWM {
		return "PWM:" + strconv.FormatFloat(p.Duty, 'f', 3, 64)
	}
	return [...]string{"floating", "low", "high"}[p.Level]
}

// Reset is a start of the processor: Cause is power-on, run-pin, watchdog or system.
type Reset struct {
	Cause string
	At    time.Duration // emulated
}

// State is what is known of a board. Console, LED and joining are told when they
// change, pins and resets within an emulated millisecond.
type State struct {
	Now    time.Duration // emulated, since the board was made
	LED    bool
	Pins   [NumPins]Pin
	Joined bool // to the access point
	Resets []Reset
	Halt   string // why the board does not run; empty while it runs
}

// HaltError says that a board has halted: a fault of the guest, a power cut, nothing
// bootable in flash, or no power.
type HaltError struct {
	Reason string
	Kind   string // GuestFault, PowerCut, NotBootable or Halt
	At     time.Duration
}

func (e *HaltError) Error() string {
	return fmt.Sprintf("the board has halted at %s: %s", e.At, e.Reason)
}

// LimitError says that emulated time passed without what was waited for.
type LimitError struct {
	What  string
	Limit time.Duration
	Seen  string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s of emulated time passed without %s; %s", e.Limit, e.What, e.Seen)
}

// event is one of the things that a board tells.
type event struct {
	LED    *bool    `json:"led"`
	Joined *bool    `json:"joined"`
	Pin    *int     `json:"pin"`
	Level  float64  `json:"level"` // of Pin: -1 floating, 0 low, 1 high, 2 and more PWM
	Time   *float64 `json:"time"`
	Halt   *string  `json:"halt"`
	Kind   string   `json:"kind"` // of Halt
	Log    *string  `json:"log"`
	Reset  *struct {
		Cause string  `json:"cause"`
		Nanos float64 `json:"nanos"`
	} `json:"reset"`
}

// waiter is somebody who waits for a condition.
type waiter struct {
	cond func(State) bool
	// until is the last emulated time at which the condition counts, 0 while it is
	// not known yet.
	until time.Duration
	met   chan error // takes one value
}

// handle takes what the process says; it is called in order by one goroutine.
func (b *Board) handle(m message) error {
	if m.kind == kindFrame {
		b.net.fromBoard(m.body)
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Now = max(b.state.Now, m.now)
	switch m.kind {
	case kindConsole:
		b.console.add(m.body)
	case kindEvent:
		var e event
		if err := json.Unmarshal(m.body, &e); err != nil {
			return fmt.Errorf("event %q: %w", m.body, err)
		}
		b.apply(e)
	case kindTime:
	default:
		return fmt.Errorf("a message of unknown kind %q", m.kind)
	}
	b.check()
	return nil
}

func (b *Board) apply(e event) {
	switch s := &b.state; {
	case e.LED != nil:
		s.LED = *e.LED
	case e.Joined != nil:
		s.Joined = *e.Joined
	case e.Pin != nil && *e.Pin >= 0 && *e.Pin < NumPins:
		s.Pins[*e.Pin] = pinOf(e.Level)
	case e.Reset != nil:
		s.Resets = append(s.Resets, Reset{e.Reset.Cause, time.Duration(e.Reset.Nanos)})
		s.Halt = ""
		b.halt = nil
	case e.Halt != nil:
		s.Halt = *e.Halt
		b.halt = &HaltError{Reason: *e.Halt, Kind: e.Kind, At: s.Now}
	case e.Log != nil:
		b.config.Logger.Debug("Emulator", "says", *e.Log, "at", s.Now)
	}
}

func pinOf(level float64) Pin {
	switch {
	case level < 0:
		return Pin{}
	case level >= 2:
		return Pin{PWM, level - 2}
	case level == 0:
		return Pin{Level: Low}
	}
	return Pin{Level: High}
}

// check ends the waits that are over.
func (b *Board) check() {
	b.waiters = slices.DeleteFunc(b.waiters, func(w *waiter) bool {
		switch {
		case w.until > 0 && b.state.Now > w.until:
			w.met <- errTooLate
		case w.cond(b.snapshot()):
			w.met <- nil
		case b.halt != nil:
			w.met <- b.halt
		case w.until > 0 && b.state.Now == w.until:
			w.met <- errTooLate
		default:
			return false
		}
		return true
	})
}

var errTooLate = fmt.Errorf("too late")

func (b *Board) snapshot() State {
	s := b.state
	s.Resets = slices.Clone(s.Resets)
	return s
}

// State returns what is known of the board. Its time is at most 50 ms of the host's
// time old.
func (b *Board) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot()
}

// LED tells whether the on-board LED, which hangs on the Wi-Fi chip, is on.
func (b *Board) LED() bool { return b.State().LED }

// Pin tells what the guest makes of a pin, 0 to 29.
func (b *Board) Pin(n int) Pin { return b.State().Pins[n] }

// Wait waits until cond holds. It is asked about the state now and at every change,
// by another goroutine, and must not call the board. limit is emulated time; the
// error is a *LimitError then, a *HaltError if the board halts, and what says that
// the host's time was over after Config.WaitTimeout or the end of ctx.
func (b *Board) Wait(ctx context.Context, limit time.Duration, what string, cond func(State) bool) error {
	err := b.wait(ctx, limit, cond)
	if err == errTooLate {
		return &LimitError{What: what, Limit: limit, Seen: b.seen()}
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w; %s", what, err, b.seen())
	}
	return nil
}

func (b *Board) wait(ctx context.Context, limit time.Duration, cond func(State) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.config.WaitTimeout, fmt.Errorf("%s of the host's time are over", b.config.WaitTimeout))
	defer cancel()
	w := &waiter{cond: cond, met: make(chan error, 1)}
	b.mu.Lock()
	b.waiters = append(b.waiters, w)
	b.check()
	b.mu.Unlock()
	defer b.forget(w)
	if err := b.limitWaiter(ctx, w, limit); err != nil {
		return err
	}
	select {
	case err := <-w.met:
		return err
	case <-b.process.done:
		return b.process.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// limitWaiter ends a wait after an emulated time, unless it is over already.
func (b *Board) limitWaiter(ctx context.Context, w *waiter, limit time.Duration) error {
	if len(w.met) > 0 {
		return nil
	}
	at, err := b.tellIn(ctx, limit)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	w.until = at
	b.check()
	return nil
}

func (b *Board) forget(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters = slices.DeleteFunc(b.waiters, func(o *waiter) bool { return o == w })
}

// tellIn has the board tell the time when d has passed, and returns that time.
func (b *Board) tellIn(ctx context.Context, d time.Duration) (time.Duration, error) {
	var told struct {
		At float64 `json:"at"`
	}
	if err := b.ask(ctx, map[string]any{"name": "tellIn", "nanos": d.Nanoseconds()}, &told); err != nil {
		return 0, err
	}
	return time.Duration(told.At), nil
}

// WaitPin waits until the guest makes a pin of that level.
func (b *Board) WaitPin(ctx context.Context, n int, level Level, limit time.Duration) error {
	what := fmt.Sprintf("pin %d being %s", n, Pin{Level: level})
	return b.Wait(ctx, limit, what, func(s State) bool { return s.Pins[n].Level == level })
}

// Sleep waits until d of emulated time has passed.
func (b *Board) Sleep(ctx context.Context, d time.Duration) error {
	at, err := b.tellIn(ctx, d)
	if err != nil {
		return err
	}
	return b.Wait(ctx, d+time.Hour, "the time "+at.String(), func(s State) bool { return s.Now >= at })
}

// seen is what an error shows of the board.
func (b *Board) seen() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	var pins strings.Builder
	for n, p := range s.Pins {
		if p.Level != Floating {
			fmt.Fprintf(&pins, " %d:%s", n, p)
		}
	}
	return fmt.Sprintf("now %s, joined %t, LED %t, pins%s, %d resets; the console ends with:\n%s",
		s.Now, s.Joined, s.LED, pins.String(), len(s.Resets), lastLines(string(b.console.text)))
}
