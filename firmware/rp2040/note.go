// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

// What the firmware notes in two of the watchdog's scratch registers outlives every
// reset but that of the supply and of the RUN pin (4.7.5). SCRATCH0 holds the
// phase, SCRATCH1 the cause of a reset that the firmware asked for. Each is a
// value of 16 bits below its seal, so that one store changes it whole, and what
// another program left there is not taken for a note.

// sealKey makes the seal differ from a complement, which others use too.
const sealKey = 0x7069

func sealed(value uint16) uint32 { return uint32(^value^sealKey)<<16 | uint32(value) }

// unsealed returns the value of a register, and whether it holds one.
func unsealed(register uint32) (value uint16, ok bool) {
	value = uint16(register)
	return value, register == sealed(value)
}

// Kind says what reset the chip.
type Kind uint8

// The kinds of a reset.
const (
	Unknown  Kind = iota
	PowerOn       // the supply came on, or had been too low
	RunPin        // the RUN pin was pulled low
	Debugger      // a debugger asked for it
	Watchdog      // the main loop hung
	Software      // the firmware called Restart
)

var kindNames = [...]string{"unknown", "power-on", "run-pin", "debugger", "watchdog", "software"}

// Reset is what is known of the last reset.
type Reset struct {
	Kind  Kind
	Phase int // what ran when the watchdog fired, as told to Enter; -1: not known
	Cause int // what was told to Restart; -1: not known
}

// Bits of the registers that tell of a reset: WATCHDOG.REASON (4.7.6) and
// VREG_AND_CHIP_RESET.CHIP_RESET (2.12.8).
const (
	reasonTimer   = 0x1
	reasonForce   = 0x2
	hadPowerOn    = 0x100
	hadRunPin     = 0x10000
	hadPSMRestart = 0x100000
)

// resetOf reads a reset from the registers. The watchdog's reason comes first:
// CHIP_RESET keeps what it said before a reset by the watchdog, while the reason is
// cleared by every reset of the chip.
func resetOf(reason, chipReset, phaseNote, causeNote uint32) Reset {
	r := Reset{Phase: -1, Cause: -1}
	phase, hasPhase := unsealed(phaseNote)
	cause, hasCause := unsealed(causeNote)
	switch {
	case reason&reasonForce != 0:
		r.Kind = Software
		if hasCause {
			r.Cause = int(cause)
		}
	case reason&reasonTimer != 0:
		r.Kind = Watchdog
		if hasPhase {
			r.Phase = int(phase)
		}
	case chipReset&hadPSMRestart != 0:
		r.Kind = Debugger
	case chipReset&hadRunPin != 0:
		r.Kind = RunPin
	case chipReset&hadPowerOn != 0:
		r.Kind = PowerOn
	}
	return r
}

// Text returns the reset as board.Facts.ResetReason: "power-on", "run-pin",
// "watchdog: hang in wifi", "software: wifi lost". The tables name phases and
// causes by their numbers. Cause 0 is the reset that a user asked for: it is
// "software" alone.
func (r Reset) Text(phases, causes []string) string {
	text := kindNames[Unknown]
	if int(r.Kind) < len(kindNames) {
		text = kindNames[r.Kind]
	}
	switch {
	case r.Kind == Watchdog && r.Phase >= 0 && r.Phase < len(phases):
		return text + ": hang in " + phases[r.Phase]
	case r.Kind == Software && r.Cause > 0 && r.Cause < len(causes):
		return text + ": " + causes[r.Cause]
	}
	return text
}
