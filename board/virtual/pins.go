// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import "github.com/picolet/picolet/board"

// numPins is the number of GPIOs up to the highest that a Pico W leads out.
const numPins = 29

// hasPin tells whether a Pico W leads the pin out: GPIO 23, 24, 25 and 29
// belong to its Wi-Fi chip (Raspberry Pi Pico W datasheet, section 2.1).
func hasPin(pin int) bool { return pin >= 0 && pin < numPins && (pin < 23 || pin > 25) }

// Count returns 29: the highest pin is GPIO 28.
func (b *Board) Count() int { return numPins }

// SetPin drives a pin. All pins do PWM. It returns board.ErrNoPin for a pin
// that a Pico W does not lead out.
func (b *Board) SetPin(pin int, s board.PinState) error {
	if !hasPin(pin) {
		return board.ErrNoPin
	}
	if s.Mode != board.PinPWM {
		s.Duty = 0
	}
	if b.exchangePin(pin, s) != s && b.onChange != nil {
		b.onChange(pin, s)
	}
	return nil
}

// exchangePin sets a pin and returns what it was before.
func (b *Board) exchangePin(pin int, s board.PinState) board.PinState {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.pins[pin]
	b.pins[pin] = s
	return before
}

// Pin reads a pin back.
func (b *Board) Pin(pin int) (board.PinState, error) {
	if !hasPin(pin) {
		return board.PinState{}, board.ErrNoPin
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pins[pin], nil
}

// SetLED turns the LED on or off.
func (b *Board) SetLED(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.led = on
}

// LED tells whether the LED is on.
func (b *Board) LED() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.led
}
