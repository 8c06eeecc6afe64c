// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"errors"

	"github.com/picolet/picolet/board"
)

// ErrChannelTaken says that the pin's PWM channel is in use: pins that are 16
// apart, as GPIO 2 and GPIO 18, share one (4.5.2). Release the other pin first,
// or use another.
var ErrChannelTaken = errors.New("rp2040: the pin 16 places away does PWM on the same channel")

// ErrADC says that the analog-to-digital converter does not end a conversion. Take the board's
// supply away for a moment.
var ErrADC = errors.New("rp2040: the analog-to-digital converter does not answer")

// numPins is one more than the highest GPIO that a Pico W leads out.
const numPins = 29

// hasPin tells whether a Pico W leads the pin out: GPIO 23, 24, 25 and 29 belong
// to its Wi-Fi chip (Raspberry Pi Pico W datasheet, section 2.1).
func hasPin(pin int) bool { return pin >= 0 && pin < numPins && (pin < 23 || pin > 25) }

// firstADC is the GPIO of ADC channel 0; GPIO 26 to 28 are led out (4.9.2).
const firstADC = 26

// adcChannel returns the ADC channel of a pin, or board.ErrNoPin.
func adcChannel(pin int) (uint32, error) {
	if !hasPin(pin) || pin < firstADC {
		return 0, board.ErrNoPin
	}
	return uint32(pin - firstADC), nil
}

// Which of the chip's eight slices and of a slice's two channels drive a pin
// (4.5.2).
func sliceOf(pin int) int     { return pin >> 1 & 7 }
func channelBOf(pin int) bool { return pin&1 == 1 }

// twin returns the other pin on the same PWM channel, -1 if none is led out.
func twin(pin int) int {
	if other := pin ^ 16; hasPin(other) {
		return other
	}
	return -1
}

// PWM counts pwmSteps for each of the 255 steps of a duty cycle, at pwmHertz
// periods a second: no flicker to the eye, and slow enough for a MOSFET that a
// pin drives without help.
const (
	pwmHertz = 1000
	pwmSteps = 4
	pwmTop   = 255*pwmSteps - 1
)

// pwmDivider returns the value of a slice's DIV register, in 1/16, for a system
// clock in Hz.
func pwmDivider(clock uint32) uint32 { return clock / (pwmHertz * (pwmTop + 1) / 16) }

// A compare value of 0 is never high, one above the top always (4.5.2.1), so duty
// cycles 0 and 255 have no edges.
func levelOf(duty uint8) uint32 { return uint32(duty) * pwmSteps }
func dutyOf(level uint32) uint8 { return uint8(min(level/pwmSteps, 255)) }
