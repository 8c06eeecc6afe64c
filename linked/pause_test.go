// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/link/noise"
)

// leaseDuration is how long a node is Ready after its Lease was renewed.
const leaseDuration = 40 * time.Second

// A board waits as long as its gateway asks for, and some more, but is always back
// before its Lease is over.
func TestPauseAfterEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		why         noise.Reason
		delay       time.Duration
		least, most time.Duration // until the next link
	}{
		"shutdown":              {noise.EndShutdown, 0, 0, 11 * time.Second},
		"shutdown, short delay": {noise.EndShutdown, time.Second, time.Second, 2 * time.Second},
		"shutdown, delay":       {noise.EndShutdown, 8 * time.Second, 8 * time.Second, 13 * time.Second},
		"shutdown, too long":    {noise.EndShutdown, time.Hour, 12 * time.Second, 19 * time.Second},
		"replaced":              {noise.EndReplaced, 0, 0, time.Second},
		"replaced, delay":       {noise.EndReplaced, 3 * time.Second, 3 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			in(t, w, func() {
				w.until(10*time.Second, "the node is registered", w.registered)
				before := w.heard(leases)
				w.until(time.Minute, "its lease is renewed", func() bool { return w.heard(leases) > before })
				renewed := time.Now()
				time.Sleep(9 * time.Second)
				ended := time.Now()
				_ = w.session().EndFor(tt.why, tt.delay)
				w.until(30*time.Second, "there is another link", func() bool { return w.links() == 2 })
				if d := time.Since(ended); d < tt.least || d > tt.most {
					t.Errorf("linked again after %v, want %v to %v", d, tt.least, tt.most)
				}
				before = w.heard(leases)
				w.until(time.Minute, "its lease is renewed again", func() bool { return w.heard(leases) > before })
				if d := time.Since(renewed); d >= leaseDuration {
					t.Errorf("the lease was not renewed for %v", d)
				}
			})
		})
	}
}

// A refusal with a delay is tried again after that delay, each time.
func TestPauseAfterRefusal(t *testing.T) {
	const delay = 2 * time.Second
	w := &world{refusal: "a board with the key of device 1234 is connected already", delay: delay}
	in(t, w, func() {
		for range 10 {
			tries, begin := w.tries(), time.Now()
			w.until(10*time.Second, "another try", func() bool { return w.tries() > tries })
			if d := time.Since(begin); tries > 0 && (d < delay || d > delay*3/2+500*time.Millisecond) {
				t.Errorf("try %d: after %v, want %v and up to half as much more", tries+1, d, delay)
			}
		}
	})
}

// 200 boards whose gateway stops without asking for a delay do not come back all at once,
// and each is back soon.
func TestRestartSpreadsBoards(t *testing.T) {
	const boards = 200
	w := &world{}
	in(t, w, func() {
		ctx, cancel := context.WithCancel(w.t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		for range boards - 1 {
			n, err := fleet.NewNode(fleet.Options{Name: "pico-1", Boot: w.boot, Dialer: w.net, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() { _ = n.Run(ctx) })
		}
		w.until(30*time.Second, "all boards are linked", func() bool { return w.links() == boards })
		w.mu.Lock()
		first := w.sessions
		w.sessions = nil
		w.mu.Unlock()
		begin := time.Now()
		for _, s := range first {
			go func() { _ = s.End(noise.EndShutdown) }()
		}
		most, last := 0, 0
		for w.links() < boards && time.Since(begin) < time.Minute {
			time.Sleep(time.Second)
			n := w.links()
			most, last = max(most, n-last), n
		}
		t.Logf("%d boards are back after %v, at most %d in one second", last, time.Since(begin), most)
		if last < boards || time.Since(begin) > 12*time.Second || most > boards/5 {
			t.Errorf("want all within 12 s, at most %d in one second", boards/5)
		}
	})
}
