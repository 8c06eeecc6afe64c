// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/kubelet/wallclock"
)

// TestOneClock: with the API server's clock a minute off the gateway's, boards see the
// API server's in each answer, and set theirs once.
func TestOneClock(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": -time.Minute, "ahead": time.Minute} {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				h.api.node = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
					_, _ = io.WriteString(w, "{}")
				}
				h.api.put("pico-config", "1")
				time.Sleep(48 * time.Hour) // bubbles begin in 2000, before which there is no Date
				s := mustOpen(t, h, 1)
				defer s.Close()
				began := time.Now()
				var clock wallclock.Clock
				check := func(what, date string) {
					t.Helper()
					now := time.Since(began)
					if !clock.Sync(now, []byte(date)) {
						t.Errorf("%s: Date %q", what, date)
					}
					want := began.Add(off).Add(now)
					if wrong := time.UnixMicro(clock.Micros(now)).Sub(want); wrong.Abs() > 2*time.Second {
						t.Errorf("%s: the clock is %v off", what, wrong)
					}
				}
				c := linkClient(s)
				for range 30 {
					for _, target := range []string{own, oneMap, "/api/v1/secrets", ownLease} {
						r := ask(t, c, "GET", target, "")
						check(target, r.header.Get("Date"))
						time.Sleep(333 * time.Millisecond)
					}
					resp, err := c.Get("http://gateway" + listMap + "&watch=1&timeoutSeconds=1")
					if err != nil {
						t.Fatal(err)
					}
					check("watch", resp.Header.Get("Date"))
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				if clock.Steps() > 1 { // the first Date is of a whole second
					t.Errorf("the board's clock was set %d times", clock.Steps())
				}
			})
		})
	}
}

// TestNoDateWithoutAPIServer: before the API server has given the time, nobody does.
func TestNoDateWithoutAPIServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.down = true
		h := startPiped(t, api)
		for _, target := range []string{own, oneMap, "/api/v1/secrets"} {
			if r := h.get(t, "pico-1", target); r.code < 400 || r.header.Get("Date") != "" {
				t.Errorf("%s: %d, Date %q", target, r.code, r.header.Get("Date"))
			}
		}
		endBubble(t, h)
	})
}
