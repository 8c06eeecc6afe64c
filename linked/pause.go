// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked

import (
	"time"

	"github.com/picolet/picolet/link/noise"
)

// Pauses after a link that failed: doubled for each in a row, of which the second
// half is left to chance. A board that was refused waits at once for as long as is
// bearable for who has just approved it.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 16 * time.Second
)

// pause keeps a board from shaking hands all the time.
type pause struct {
	until    time.Duration
	failures uint8
}

func (p *pause) fail(now time.Duration, why error, random noise.Random) {
	d := lastPause
	if why != noise.ErrRefused && p.failures < 6 {
		d = firstPause << p.failures
		p.failures++
	}
	p.until = now + d/2 + chance(d/2, random)
}

// chance is a duration between 0 and d. Without entropy it is d: the link fails by
// that next time, and says so.
func chance(d time.Duration, random noise.Random) time.Duration {
	var b [2]byte
	if n, err := random.Read(b[:]); n != len(b) || err != nil {
		return d
	}
	return d * time.Duration(uint32(b[0])<<8|uint32(b[1])) >> 16
}
