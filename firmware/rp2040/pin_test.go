// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"

	"github.com/picolet/picolet/board"
)

func TestPinsOfAPicoW(t *testing.T) {
	t.Parallel()
	for pin := -1; pin <= 64; pin++ {
		want := pin >= 0 && pin <= 22 || pin >= 26 && pin <= 28
		if hasPin(pin) != want {
			t.Errorf("hasPin(%d) = %v", pin, !want)
		}
		channel, err := adcChannel(pin)
		if isADC := pin >= 26 && pin <= 28; isADC && (err != nil || channel != uint32(pin-26)) || !isADC && err != board.ErrNoPin {
			t.Errorf("adcChannel(%d) = %d, %v", pin, channel, err)
		}
	}
}

// TestPWMChannelsFollowTheDatasheet: table 516 of the datasheet, 4.5.2.
func TestPWMChannelsFollowTheDatasheet(t *testing.T) {
	t.Parallel()
	for pin, want := range map[int]string{0: "0A", 1: "0B", 2: "1A", 14: "7A", 15: "7B", 16: "0A", 17: "0B", 22: "3A", 26: "5A", 27: "5B", 28: "6A"} {
		got := string('0'+rune(sliceOf(pin))) + map[bool]string{false: "A", true: "B"}[channelBOf(pin)]
		if got != want {
			t.Errorf("GPIO %d is on channel %s, want %s", pin, got, want)
		}
	}
	for pin, want := range map[int]int{0: 16, 16: 0, 6: 22, 7: -1, 9: -1, 10: 26, 12: 28, 13: -1, 15: -1, 28: 12} {
		if got := twin(pin); got != want {
			t.Errorf("twin(%d) = %d, want %d", pin, got, want)
		}
	}
}

func TestPWMHasOneKilohertzAndItsDuty(t *testing.T) {
	t.Parallel()
	for _, clock := range []uint32{125_000_000, 133_000_000, 200_000_000} {
		div := pwmDivider(clock)
		if div < 16 || div > 0xfff {
			t.Errorf("the divider for %d Hz is %#x: not in 8.4 bits", clock, div)
		}
		if hertz := float64(clock) * 16 / float64(div) / (pwmTop + 1); hertz < 995 || hertz > 1005 {
			t.Errorf("%.1f periods a second at %d Hz", hertz, clock)
		}
	}
	for duty := range 256 {
		if got := dutyOf(levelOf(uint8(duty))); got != uint8(duty) {
			t.Errorf("duty %d comes back as %d", duty, got)
		}
	}
	if levelOf(255) <= pwmTop || levelOf(254) > pwmTop {
		t.Error("only a duty cycle of 255 is always high")
	}
	if got := dutyOf(0xffff); got != 255 {
		t.Errorf("a foreign compare value reads as duty %d, want 255", got)
	}
}
