// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signal tells by the LED of a board why it is not at work: by a number
// of short flashes, a pause, and the same again. It touches no hardware and says
// nothing else: the details are on the serial port.
package signal

import "time"

// Flashes is how many flashes stand before each pause.
type Flashes int

// What boards tell.
const (
	NotProvisioned  Flashes = 2 // the board has no settings
	SettingsRefused Flashes = 3 // the board cannot work with its settings: it restarts, and tries again
	flash                   = 200 * time.Millisecond
	pause                   = time.Second
)

// At returns whether the LED is lit at a time, and when that changes.
func (f Flashes) At(t time.Duration) (lit bool, until time.Duration) {
	period := 2*flash*time.Duration(f) + pause
	begin := t - t%period
	step := t % period / flash
	if step >= 2*time.Duration(f)-1 {
		return false, begin + period
	}
	return step%2 == 0, begin + (step+1)*flash
}
