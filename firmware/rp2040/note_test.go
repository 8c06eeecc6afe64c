// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"
)

func TestResetTellsWhatItWas(t *testing.T) {
	t.Parallel()
	phases, causes := []string{"start", "wifi"}, []string{"", "wifi lost"}
	for name, c := range map[string]struct {
		reason, chipReset, phase, cause uint32
		want                            string
	}{
		"supply":                          {0, hadPowerOn, 0, 0, "power-on"},
		"supply, notes of another":        {0, hadPowerOn, sealed(1), sealed(1), "power-on"},
		"RUN pin":                         {0, hadRunPin, sealed(1), 0, "run-pin"},
		"debugger":                        {0, hadPSMRestart, 0, 0, "debugger"},
		"nothing":                         {0, 0, 0, 0, "unknown"},
		"hang":                            {reasonTimer, hadPowerOn, sealed(1), 0, "watchdog: hang in wifi"},
		"hang in the first phase":         {reasonTimer, hadPowerOn, sealed(0), 0, "watchdog: hang in start"},
		"hang of another program":         {reasonTimer, hadPowerOn, 0x12345678, 0, "watchdog"},
		"hang before the first note":      {reasonTimer, hadRunPin, 0, 0, "watchdog"},
		"hang of a newer image":           {reasonTimer, hadPowerOn, sealed(2), 0, "watchdog"},
		"asked for":                       {reasonForce, hadPowerOn, sealed(1), sealed(0), "software"},
		"with a cause":                    {reasonForce, hadPowerOn, sealed(1), sealed(1), "software: wifi lost"},
		"with a newer image's cause":      {reasonForce, hadPowerOn, sealed(1), sealed(2), "software"},
		"by a program without a note":     {reasonForce, hadPowerOn, 0, 0, "software"},
		"forced while the timer ran down": {reasonForce | reasonTimer, hadPowerOn, sealed(1), sealed(1), "software: wifi lost"},
	} {
		if got := resetOf(c.reason, c.chipReset, c.phase, c.cause).Text(phases, causes); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := (Reset{Kind: 99}).Text(nil, nil); got != "unknown" {
		t.Errorf("a kind that is none: %q", got)
	}
}

// TestSealShowsEveryFlippedBit: and what a register holds after power-on, or is often
// filled with, is no note.
func TestSealShowsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	for _, register := range []uint32{0, ^uint32(0), 0xffff0000, 0x0000ffff, 0xb007c0d3} {
		if v, ok := unsealed(register); ok {
			t.Errorf("%#x is taken for note %d", register, v)
		}
	}
	for value := range uint16(300) {
		register := sealed(value)
		if got, ok := unsealed(register); !ok || got != value {
			t.Fatalf("note %d comes back as %d, %v", value, got, ok)
		}
		for bit := range 32 {
			if _, ok := unsealed(register ^ 1<<bit); ok {
				t.Errorf("note %d with bit %d flipped is taken", value, bit)
			}
		}
	}
}
