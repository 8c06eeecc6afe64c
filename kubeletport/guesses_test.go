// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A network has a burst of guesses and then five a second, eight at a time, whatever other
// networks do.
func TestGuesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		taken := func(addr string, tries int) (n int) {
			for range tries {
				if done, refused := g.begin(addr); refused == nil {
					n++
					done()
				} else if refused.code != http.StatusTooManyRequests || refused.retryAfter == 0 {
					t.Errorf("refused with %d, Retry-After %d", refused.code, refused.retryAfter)
				}
			}
			return n
		}
		for _, step := range []struct {
			addr string
			wait time.Duration
			want int
		}{
			{"10.0.0.1", 0, guessBurst}, {"10.0.0.1", time.Second, 5}, {"10.0.0.2", 0, guessBurst},
			{"::ffff:10.0.0.1", 0, 0}, // the same
			{"2001:db8::1", 0, guessBurst}, {"2001:db8::2", 0, 0}, {"2001:db8:0:1::1", 0, guessBurst},
			{"not an address", 0, guessBurst},
		} {
			time.Sleep(step.wait)
			if n := taken(step.addr, 100); n != step.want {
				t.Errorf("%s after %v: %d guesses, want %d", step.addr, step.wait, n, step.want)
			}
		}
	})
}

func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuesses()
	var ends []func()
	for {
		done, refused := g.begin("10.0.0.1")
		if refused != nil {
			break
		}
		ends = append(ends, done)
	}
	if len(ends) != guessesAtOnce {
		t.Errorf("%d guesses at a time, want %d", len(ends), guessesAtOnce)
	}
	ends[0]()
	if _, refused := g.begin("10.0.0.1"); refused != nil {
		t.Errorf("after one has ended: %v", refused)
	}
}
