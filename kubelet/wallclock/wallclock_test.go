// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wallclock

import (
	"testing"
	"time"
)

func TestSyncReadsDates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ date, want string }{
		{"Sun, 06 Nov 1994 08:49:37 GMT", ""}, // before any picolet
		{"Sat, 01 Jan 2000 00:00:00 GMT", "2000-01-01T00:00:00Z"},
		{"Tue, 29 Feb 2000 23:59:59 GMT", "2000-02-29T23:59:59Z"}, // leap: divisible by 400
		{"Thu, 29 Feb 2024 12:00:00 GMT", "2024-02-29T12:00:00Z"},
		{"Wed, 31 Dec 2025 23:59:59 GMT", "2025-12-31T23:59:59Z"},
		{"Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00Z"}, // no leap year
		{"Mon, 29 Feb 2100 00:00:00 GMT", ""},
		{"Sat, 29 Feb 2025 00:00:00 GMT", ""},
		{"Wed, 31 Dec 2025 24:00:00 GMT", ""},
		{"Wed, 31 Dec 2025 23:59:59 CET", ""},
		{"Wed, 31 Dec 2025 23:59:59", ""},
		{"Wednesday, 31-Dec-25 23:59:59 GMT", ""}, // RFC 850: obsolete, never sent
		{"", ""},
		{"\x00\xff", ""},
	} {
		var c Clock
		ok := c.Sync(5*time.Second, []byte(test.date))
		if ok != (test.want != "") || c.Known() != ok {
			t.Errorf("Sync(%q) = %v, Known %v", test.date, ok, c.Known())
		}
		if ok {
			if got := string(AppendTime(nil, c.Micros(5*time.Second))); got != test.want {
				t.Errorf("Sync(%q): the clock says %s, want %s", test.date, got, test.want)
			}
		}
	}
}

func TestUnknownClockSaysZero(t *testing.T) {
	t.Parallel()
	var c Clock
	if got := c.Micros(time.Hour); got != 0 {
		t.Errorf("Micros = %d before any Date", got)
	}
}

func TestClockRunsOnAndResyncs(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)
	date := func(d time.Duration) []byte { return []byte(start.Add(d).Format(httpLayout)) }
	var c Clock
	c.Sync(10*time.Second, date(0))
	for _, step := range []struct {
		name      string
		now, said time.Duration // since boot; Date header, since start
		want      time.Duration // since start
		steps     uint32
	}{
		{"runs on", 12500 * time.Millisecond, 2 * time.Second, 2500 * time.Millisecond, 0},
		{"a late answer does not set it back", 14 * time.Second, 2 * time.Second, 4 * time.Second, 0},
		{"behind: set forward", 15 * time.Second, 8 * time.Second, 8 * time.Second, 1},
		{"far ahead: set back", 16 * time.Second, 0, 0, 2},
	} {
		c.Sync(step.now, date(step.said))
		want := start.Add(step.want).UnixMicro()
		if got := c.Micros(step.now); got != want || c.Steps() != step.steps {
			t.Errorf("%s: off by %v, %d steps, want %d", step.name, time.Duration(got-want)*time.Microsecond, c.Steps(), step.steps)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var c Clock
	date := []byte("Thu, 29 Feb 2024 12:00:00 GMT")
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		c.Sync(time.Second, date)
		buf = AppendMicroTime(AppendTime(buf[:0], c.Micros(0)), c.Micros(0))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
