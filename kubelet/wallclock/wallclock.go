// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wallclock tells the time of day on a board that has no clock of its
// own: it takes it from the Date header of the API server's answers (RFC 9110,
// section 6.6.1) and lets the time since boot carry it on. It never reads a
// clock itself and needs no NTP.
package wallclock

import "time"

// Clock is the time of day. The zero value has not been set yet.
type Clock struct {
	unix  int64 // microseconds since 1970 at the instant at
	at    time.Duration
	set   bool
	steps uint32
}

// year2000 is the time before which no board was, in seconds since 1970.
const year2000 = 946684800

// tolerance is how far the clock may run ahead of a Date header before it is
// set back: the header counts whole seconds, and it was already on its way.
const tolerance = 3 * time.Second

// Known tells whether the clock was ever set.
func (c *Clock) Known() bool { return c.set }

// Steps counts how often the clock was found wrong and set anew.
func (c *Clock) Steps() uint32 { return c.steps }

// Micros is the time of day at now, the time since boot, in microseconds since
// 1970; 0 while it is not known.
func (c *Clock) Micros(now time.Duration) int64 {
	if !c.set {
		return 0
	}
	return c.unix + (now - c.at).Microseconds()
}

// Sync sets the clock from the text of a Date header that arrived at now. A
// clock that agrees with the header is left alone, so that it keeps its
// fraction of a second and does not jump. It reports whether date was a date
// of the year 2000 or later.
func (c *Clock) Sync(now time.Duration, date []byte) bool {
	unix, ok := httpDate(date)
	if !ok || unix < year2000 {
		return false
	}
	said := unix * 1e6
	ahead := c.Micros(now) - said
	if c.set && ahead >= 0 && ahead <= tolerance.Microseconds() {
		return true
	}
	if c.set {
		c.steps++
	}
	c.unix, c.at, c.set = said, now, true
	return true
}
