// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wallclock tells the time of day on a board that has no clock of its
// own: it takes it from the Date header of the API server's answers (RFC 9110,
// section 6.6.1) and lets the time since boot carry it on. It never reads a
// clock itself and needs no NTP.
package wallclock

import (
	"time"
	"unsafe"
)

// Clock is the time of day. The zero value has not been set yet.
type Clock struct {
	unix  int64 // microseconds since 1970 at the instant at
	at    time.Duration
	set   bool
	steps uint32
}

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
	t, err := time.Parse(imfFixdate, unsafe.String(unsafe.SliceData(date), len(date)))
	if err != nil || t.Year() < 2000 {
		return false
	}
	said := t.UnixMicro()
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

// imfFixdate is the one form of dates that RFC 9110, section 5.6.7, lets a
// server send.
const imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendTime appends microseconds since 1970 as a Kubernetes Time: RFC 3339 in
// whole seconds, UTC.
func AppendTime(b []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(b, time.RFC3339)
}

// AppendMicroTime appends microseconds since 1970 as a Kubernetes MicroTime:
// RFC 3339 with six digits of a second, UTC.
func AppendMicroTime(b []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
}
