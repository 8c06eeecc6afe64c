// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tcp

import (
	"time"

	wire "github.com/soypat/lneto/tcp"
)

// Bounds of the retransmission time-out. RFC 6298 has at least a second; like
// Linux, less is taken, for peers a millisecond away, but more than the 200 ms
// by which some delay an ACK.
const (
	firstTimeout = time.Second
	minTimeout   = 250 * time.Millisecond
	maxTimeout   = 8 * time.Second
)

// rtt measures round trips and says how long to wait for an ACK (RFC 6298).
type rtt struct {
	smoothed, variation time.Duration // 0: not measured
	began               time.Duration // when the timed segment was sent
	end                 wire.Value    // ACK that covers it
	timing              bool
}

func (r *rtt) reset() { *r = rtt{} }

// time begins a measurement, if none runs.
func (r *rtt) time(now time.Duration, end wire.Value) {
	if !r.timing {
		r.began, r.end, r.timing = now, end, true
	}
}

// untime gives the measurement up: what is sent twice says nothing (RFC 6298,
// section 3, Karn's algorithm).
func (r *rtt) untime() { r.timing = false }

// sample ends the measurement if ack covers the timed segment.
func (r *rtt) sample(now time.Duration, ack wire.Value) {
	if !r.timing || before(ack, r.end) {
		return
	}
	r.timing = false
	d := now - r.began
	if r.smoothed == 0 {
		r.smoothed, r.variation = d, d/2
		return
	}
	r.variation += ((r.smoothed - d).Abs() - r.variation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long to wait for an ACK after tries retransmissions.
func (r *rtt) timeout(tries uint8) time.Duration {
	d := firstTimeout
	if r.smoothed != 0 {
		d = max(r.smoothed+4*r.variation, minTimeout)
	}
	return min(d<<min(tries, 8), maxTimeout)
}
