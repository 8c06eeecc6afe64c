// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"sync"
	"time"
)

// dateTolerance is how far the clock may run ahead of a Date header, which counts whole
// seconds and was on its way for a while.
const dateTolerance = 3 * time.Second

// apiClock is the API server's time of day, as its answers give it, carried on by the
// gateway's monotonic clock. Boards set their clocks by the Date of every answer, also
// of those that the gateway gives by itself: with a clock of its own in these, a board's
// would go to and fro.
type apiClock struct {
	mu   sync.Mutex
	said time.Time // by the API server; zero: nothing yet
	at   time.Time // on the gateway's clock
}

// saw takes the Date of an answer. One that agrees with the clock leaves it alone.
func (c *apiClock) saw(date string) {
	said, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if ahead := c.read(now).Sub(said); c.said.IsZero() || ahead < 0 || ahead > dateTolerance {
		c.said, c.at = said, now
	}
}

func (c *apiClock) read(now time.Time) time.Time { return c.said.Add(now.Sub(c.at)) }

// stamp gives an answer its Date, or none as long as the API server's is not known:
// net/http would set the gateway's. Who has no clock must not send one (RFC 9110,
// section 6.6.1).
func (c *apiClock) stamp(h http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said.IsZero() {
		h["Date"] = nil
		return
	}
	h.Set("Date", c.read(time.Now()).UTC().Format(http.TimeFormat))
}

// recorder remembers the status code for the metrics, and dates the answer.
type recorder struct {
	http.ResponseWriter
	clock *apiClock
	code  int
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.begin()
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.begin()
	return r.ResponseWriter.Write(p)
}

// FlushError is found by http.ResponseController.
func (r *recorder) FlushError() error {
	r.begin()
	return http.NewResponseController(r.ResponseWriter).Flush()
}

func (r *recorder) begin() {
	if !r.begun {
		r.begun = true
		r.clock.stamp(r.Header())
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
