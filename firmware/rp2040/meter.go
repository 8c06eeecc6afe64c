// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import "time"

// Meter adds up the time in which the main loop works, from the times that the
// loop gives it. Its zero value rests.
type Meter struct {
	busy    time.Duration
	since   time.Duration
	working bool
}

// Work says that the loop works from now on.
func (m *Meter) Work(now time.Duration) {
	if !m.working {
		m.since, m.working = now, true
	}
}

// Rest says that the loop sleeps from now on.
func (m *Meter) Rest(now time.Duration) {
	m.busy, m.working = m.Busy(now), false
}

// Busy returns the time worked since boot.
func (m *Meter) Busy(now time.Duration) time.Duration {
	if !m.working {
		return m.busy
	}
	return m.busy + max(0, now-m.since)
}
