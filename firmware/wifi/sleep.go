// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import "time"

const (
	// shortestSleep is more than it can take from reading the timer to setting its
	// alarm, with misses of the flash's cache. The alarm fires when the timer equals it
	// (RP2040 datasheet, 4.6.3): one that is set too late is 71 minutes ahead.
	shortestSleep = 100 * time.Microsecond
	// longestSleep leaves a watchdog of 8 s its time.
	longestSleep = 4 * time.Second
)

// sleepTime returns how many microseconds to sleep of a time, 0 for not at all.
func sleepTime(d time.Duration) uint64 {
	if d < shortestSleep {
		return 0
	}
	return uint64(min(d, longestSleep) / time.Microsecond)
}
