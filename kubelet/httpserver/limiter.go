// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import "time"

// maxRate bounds requests per second and at once.
const maxRate = 1_000_000

// limiter lets through a number of requests at once and a rate of them over
// time: a token bucket, kept as the time at which it will be full again.
type limiter struct {
	interval time.Duration // between two requests at the rate
	burst    time.Duration // in which an empty bucket fills
	full     time.Duration // time at which the bucket is full
}

func (l *limiter) configure(rate, burst int) {
	l.interval = time.Second / time.Duration(rate)
	l.burst = l.interval * time.Duration(burst)
}

// allow takes a token, if there is one.
func (l *limiter) allow(now time.Duration) bool {
	full := max(l.full, now) + l.interval
	if full-now > l.burst {
		return false
	}
	l.full = full
	return true
}
