// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"
	"time"
)

func TestMeterAddsUpWork(t *testing.T) {
	t.Parallel()
	var m Meter
	for _, step := range []struct {
		do        func(time.Duration)
		now, busy time.Duration
	}{
		{func(time.Duration) {}, 5, 0},
		{m.Work, 10, 0},
		{m.Work, 12, 2}, // still works
		{m.Rest, 14, 4},
		{m.Rest, 16, 4}, // still rests
		{m.Work, 20, 4},
		{m.Rest, 19, 4}, // a clock that goes back adds nothing
		{m.Work, 30, 4},
		{func(time.Duration) {}, 33, 7},
	} {
		step.do(step.now)
		if got := m.Busy(step.now); got != step.busy {
			t.Errorf("at %d busy for %d, want %d", step.now, got, step.busy)
		}
	}
}
