// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package boot decides how long a board that cannot work retries before it signals
// an error, and how long it signals before it restarts. It touches no hardware.
package boot

import "time"

const (
	// Patience is how long an error at boot may be a passing one: a supply that
	// is still too low, an oscillator in step with what samples it.
	Patience = 10 * time.Second
	// SignalTime is how long a board signals an error before it restarts.
	SignalTime = time.Minute
)

// Retry calls try, with the number of the call from 0, until it is done or Patience
// is over. It calls pause in between, which feeds the watchdog.
func Retry(clock func() time.Duration, pause func(), try func(n int) (done bool)) {
	until := clock() + Patience
	for n := 0; !try(n) && clock() < until; n++ {
		pause()
	}
}
