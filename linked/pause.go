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

	// restartPause is how long a board waits at most when its gateway stops and asks
	// for no delay: all of its boards lose their links at the same time.
	restartPause = 10 * time.Second

	// maxDelay bounds the delay that a gateway asks for, and half as much is left to
	// chance. A Lease was renewed up to 10 s before and lasts 40 s, so a board is back before
	// its node is NotReady.
	maxDelay = 12 * time.Second
)

// pause keeps a board from shaking hands all the time.
type pause struct {
	until    time.Duration
	failures uint8
}

// fail begins a pause after l has ended with why.
func (p *pause) fail(now time.Duration, why error, l *noise.Link, random noise.Random) {
	least, more := lastPause/2, lastPause/2
	switch d := l.Delay(); {
	case d > 0:
		least = min(d, maxDelay)
		more = least / 2
	case why == noise.ErrEnded && l.Reason() == noise.EndShutdown:
		least, more = 0, restartPause
	case why != noise.ErrRefused && p.failures < 6:
		least = firstPause / 2 << p.failures
		more = least
		p.failures++
	}
	p.until = now + least + chance(more, random)
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
