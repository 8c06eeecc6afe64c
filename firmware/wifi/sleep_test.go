// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"testing"
	"time"
)

func TestSleepTime(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]uint64{
		-1 << 63: 0, -1: 0, 0: 0, 1: 0, 50 * time.Microsecond: 0, 100*time.Microsecond - 1: 0,
		100 * time.Microsecond: 100, time.Second + 1: 1_000_000, 4 * time.Second: 4_000_000, never: 4_000_000,
	} {
		if got := sleepTime(d); got != want {
			t.Errorf("%v: %d µs, want %d", d, got, want)
		}
	}
}
