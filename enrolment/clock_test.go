// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/testlog"
)

// handClock is a clock that stands, and whose log a test reads.
func handClock(log *testlog.Buffer) (c *clock, elapsed *time.Duration, wall *time.Time) {
	elapsed, wall = new(time.Duration), new(time.Time)
	*wall = time.Unix(1_800_000_000, 0)
	c = newClock(slog.New(slog.NewTextHandler(log, nil)))
	c.elapsed, c.wall, c.zero = func() time.Duration { return *elapsed }, func() time.Time { return *wall }, *wall
	return c, elapsed, wall
}

// TestClockSteps: the machine's wall clock changes nothing, whether the API server
// has answered or not.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	c, elapsed, wall := handClock(new(testlog.Buffer))
	start := *wall
	for _, step := range []time.Duration{25 * time.Second, -time.Hour, 24 * time.Hour} {
		*elapsed += 10 * time.Second
		*wall = wall.Add(step)
		if got := c.now().Sub(start); got != *elapsed {
			t.Errorf("after a step of %v: %v since the start, want %v", step, got, *elapsed)
		}
		c.observe(start.Add(*elapsed))
	}
	if got := c.mono().Sub(time.Unix(0, 0)); got != *elapsed {
		t.Errorf("monotonic time %v, want %v", got, *elapsed)
	}
}

// TestClockFollowsTheAPIServer: a Date that is a second off changes nothing, another
// one counts; the machine's own clock is only compared with it.
func TestClockFollowsTheAPIServer(t *testing.T) {
	t.Parallel()
	log := new(testlog.Buffer)
	c, _, wall := handClock(log)
	start := c.now()
	for _, off := range []time.Duration{0, time.Second, -time.Second} {
		if c.observe(start.Add(off)); !c.now().Equal(start) {
			t.Errorf("a Date that is %v off moves the time by %v", off, c.now().Sub(start))
		}
	}
	c.observe(start.Add(time.Hour))
	if got := c.now().Sub(start); got != time.Hour+500*time.Millisecond {
		t.Errorf("the time moved by %v", got)
	}
	c.observe(start.Add(time.Hour))
	if n := strings.Count(log.String(), "differs from the API server's"); n != 1 || !strings.Contains(log.String(), "offset=-1h0m") {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	*wall = wall.Add(time.Hour)
	c.observe(start.Add(time.Hour))
	if !strings.Contains(log.String(), "agrees with the API server's again") {
		t.Errorf("not logged:\n%s", log)
	}
}

func TestDateHeader(t *testing.T) {
	t.Parallel()
	c, _, wall := handClock(new(testlog.Buffer))
	at := wall.Add(time.Hour)
	for _, tt := range []struct {
		date string
		want time.Time
	}{
		{"", *wall}, {"yesterday", *wall}, {at.UTC().Format(http.TimeFormat), at.Add(500 * time.Millisecond)},
	} {
		d := dated{clock: c, next: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{Header: http.Header{"Date": {tt.date}}}, nil
		})}
		if _, err := d.RoundTrip(nil); err != nil || !c.now().Equal(tt.want) {
			t.Errorf("Date %q: %v, %v, want %v", tt.date, c.now(), err, tt.want)
		}
	}
}

// TestWallClockStepSilencesNobody: a step of 26 s, forward or back, makes no board
// silent, lets no second one in, and keeps no silent one.
func TestWallClockStepSilencesNobody(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"forward": 26 * time.Second, "back": -26 * time.Second} {
		e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		clock := new(testClock)
		clock.drive(e)
		d := device(1, "a", true)
		h, r := e.take(d, Hello{})
		if r != nil {
			t.Fatal(r)
		}
		clock.step(step)
		if _, r := e.take(d, Hello{}); reasonOf(r) != KeyInUse || h.silent() {
			t.Errorf("%s: after the step: %v, silent: %v", name, r, h.silent())
		}
		if off := e.clock.now().Sub(h.lastHeard()); off < 0 || off > time.Second {
			t.Errorf("%s: last heard %v ago", name, off)
		}
		clock.advance(silence + time.Second)
		if !h.silent() {
			t.Errorf("%s: a board that is silent is not", name)
		}
	}
}
