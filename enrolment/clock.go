// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// dateTolerance is how far the API server's Date may be from what is known
	// before it is believed: a Date counts whole seconds and may be late.
	dateTolerance = 1500 * time.Millisecond

	// skewTolerance is how far the machine's clock may be from the API server's
	// before that is logged.
	skewTolerance = 5 * time.Second
)

// clock tells the API server's time, by which objects are dated, and monotonic
// time, by which peers are silent. The machine's own wall clock, which may step or
// be wrong, only starts it.
type clock struct {
	wall    func() time.Time     // of the machine
	elapsed func() time.Duration // monotonic
	log     *slog.Logger

	mu   sync.Mutex
	zero time.Time // the API server's time when elapsed was 0
	skew bool      // was logged
}

func newClock(log *slog.Logger) *clock {
	base := time.Now()
	return &clock{
		wall: time.Now, elapsed: func() time.Duration { return time.Since(base) },
		log: log, zero: base.Round(0),
	}
}

// now is the API server's time, to about a second.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.zero.Add(c.elapsed())
}

// mono is a time to compare with others of mono alone.
func (c *clock) mono() time.Time { return time.Unix(0, 0).Add(c.elapsed()) }

// offset is how far the machine's clock is ahead of the API server's.
func (c *clock) offset() time.Duration { return c.wall().Round(0).Sub(c.now()) }

// observe takes the time of an answer that has just arrived.
func (c *clock) observe(date time.Time) {
	zero := date.Add(500 * time.Millisecond).Add(-c.elapsed())
	c.mu.Lock()
	if zero.Sub(c.zero).Abs() > dateTolerance {
		c.zero = zero
	}
	c.mu.Unlock()
	c.warn(c.offset())
}

// warn logs that the machine's clock is wrong, and that it is right again.
func (c *clock) warn(offset time.Duration) {
	skew := offset.Abs() > skewTolerance
	c.mu.Lock()
	changed := c.skew != skew
	c.skew = skew
	c.mu.Unlock()
	switch {
	case changed && skew:
		c.log.Warn("Clock of this machine differs from the API server's, which counts for tokens and pending devices; set it by NTP", "offset", offset.Round(time.Second))
	case changed:
		c.log.Info("Clock of this machine agrees with the API server's again")
	}
}

// dated tells the clock the Date header of each answer.
type dated struct {
	next  http.RoundTripper
	clock *clock
}

var _ http.RoundTripper = dated{}

// RoundTrip implements http.RoundTripper.
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		d.clock.observe(date)
	}
	return answer, nil
}
