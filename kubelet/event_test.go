// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"testing"
	"time"
)

// TestEventsArePaced: a burst is sent at once, then one Event each 2 s, and a burst
// again after a rest.
func TestEventsArePaced(t *testing.T) {
	t.Parallel()
	var q eventQueue
	now, sent := time.Hour, 0
	burst := func() (n int) {
		for next := now; next <= now; n++ {
			next = q.sent(now)
		}
		return n
	}
	if n := burst(); n != eventBurst {
		t.Errorf("%d at once, want %d", n, eventBurst)
	}
	for begin := now; now < begin+time.Minute; sent++ {
		now = max(now, q.sent(now))
	}
	if sent < 29 || sent > 30 {
		t.Errorf("%d in a minute, want one each %v", sent, eventInterval)
	}
	now += eventBurst * eventInterval
	if n := burst(); n != eventBurst {
		t.Errorf("%d at once after a rest, want %d", n, eventBurst)
	}
}
