// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"time"
)

// Fault makes a board's surroundings fail, on demand. What fails at the segment's host is
// segment.Segment's SetFaults; what fails in flash is PowerCut.
type Fault struct{ board *Board }

// Fault returns what can fail around the board.
func (b *Board) Fault() Fault { return Fault{b} }

// AccessPointAway takes the access point out of reach, or brings it back. Going away
// ends the association; the chip does not come back to it by itself.
func (f Fault) AccessPointAway(ctx context.Context, away bool) error {
	return f.board.do(ctx, "access point", command{"name": "away", "away": away})
}

// Passphrase changes the access point's passphrase: who has joined stays, who joins
// needs the new one.
func (f Fault) Passphrase(ctx context.Context, passphrase string) error {
	return f.board.do(ctx, "access point", command{"name": "passphrase", "passphrase": passphrase})
}

// Impairment is what happens to Ethernet frames in one direction. The zero value is a
// clear air. Times are emulated.
type Impairment struct {
	Loss      float64       // probability that a frame is lost
	Duplicate float64       // that it arrives twice
	Reorder   float64       // that it arrives after its successor
	Delay     time.Duration // on the way
	Jitter    time.Duration // at most that much more; frames may overtake
}

// Uplink impairs frames from the board, Downlink those to the board; each replaces
// what was set for its direction.
func (f Fault) Uplink(ctx context.Context, i Impairment) error { return f.impair(ctx, "uplink", i) }

// Downlink impairs frames to the board.
func (f Fault) Downlink(ctx context.Context, i Impairment) error { return f.impair(ctx, "downlink", i) }

func (f Fault) impair(ctx context.Context, direction string, i Impairment) error {
	impairment := map[string]any{
		"loss": i.Loss, "duplicate": i.Duplicate, "reorder": i.Reorder,
		"delayNanos": i.Delay.Nanoseconds(), "jitterNanos": i.Jitter.Nanoseconds(),
	}
	return f.board.do(ctx, "impair the "+direction, command{"name": "impair", "direction": direction, "impairment": impairment})
}

// Part is a part of the board that can hang.
type Part string

// Parts. The Wi-Fi chip hangs until it loses power, the ring oscillator until the board
// does, the others until the board is reset.
const (
	Bus   Part = "bus"   // of the Wi-Fi chip: it answers zeros
	WLAN  Part = "wlan"  // the Wi-Fi chip's bus works, the processor behind it does not
	Flash Part = "flash" // the boot ROM waits for the end of an erase or program that does not come
	ADC   Part = "adc"   // a conversion does not end
	ROSC  Part = "rosc"  // the ring oscillator stands still: its random bit is 1
)

// Freeze makes a part of the board hang.
func (f Fault) Freeze(ctx context.Context, p Part) error {
	return f.board.do(ctx, "freeze a part", command{"name": "freeze", "part": p})
}
