// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package board

import (
	"strconv"
	"testing"
)

func TestPinStateText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		state PinState
		want  string
	}{
		{PinState{}, "FLOATING"},
		{PinState{Mode: PinLow}, "LOW"},
		{PinState{Mode: PinHigh}, "HIGH"},
		{PinState{Mode: PinHigh, Duty: 7}, "HIGH"},
		{PinState{Mode: PinPWM + 1}, "FLOATING"},
	} {
		if got := string(tc.state.AppendText([]byte("pin_1: "))); got != "pin_1: "+tc.want {
			t.Errorf("%+v is written %q, want %q", tc.state, got, "pin_1: "+tc.want)
		}
	}
	for duty := range 256 {
		s := PinState{Mode: PinPWM, Duty: uint8(duty)}
		if got, want := string(s.AppendText(nil)), "PWM:"+strconv.Itoa(duty); got != want {
			t.Errorf("duty %d is written %q, want %q", duty, got, want)
		}
	}
}

func TestPinStateTextAllocatesNothing(t *testing.T) {
	text := make([]byte, 0, 64)
	allocs := testing.AllocsPerRun(100, func() {
		text = text[:0]
		for mode := PinFloating; mode <= PinPWM; mode++ {
			text = PinState{Mode: mode, Duty: 255}.AppendText(text)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
	if got, want := string(text), "FLOATINGLOWHIGHPWM:255"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The names are those of a label of metrics: each state has one, and no two
// the same.
func TestNetworkStateNames(t *testing.T) {
	t.Parallel()
	want := []string{"Off", "NoAccessPoint", "WrongPassphrase", "NoAddress", "NoGateway", "NoAPIServer", "Up"}
	if len(want) != NumNetworkStates {
		t.Fatalf("%d states, want %d", NumNetworkStates, len(want))
	}
	for i, name := range want {
		if got := NetworkState(i).String(); got != name {
			t.Errorf("state %d is %q, want %q", i, got, name)
		}
	}
	if got := NetworkState(NumNetworkStates).String(); got != "" {
		t.Errorf("a state that does not exist is %q", got)
	}
}
