// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/link/noise"
)

// herd is boards that connect at the same moment.
type herd struct {
	t     *testing.T
	setup *setup

	mu       sync.Mutex
	admitted []time.Duration // since the beginning
	tries    int
}

func anybody(context.Context, v1alpha1.Key) bool { return true }

func testKey(i int) (key v1alpha1.Key) {
	binary.BigEndian.PutUint64(key[:], uint64(i))
	return key
}

// connect tries until the board is admitted, as boards do.
func (h *herd) connect(begin time.Time, i int) {
	key := testKey(i)
	for {
		dialed := time.Now()
		err := h.setup.admit(h.t.Context(), key)
		h.mu.Lock()
		h.tries++
		if err == nil {
			h.admitted = append(h.admitted, time.Since(begin))
		}
		h.mu.Unlock()
		if waited := time.Since(dialed); waited > maxQueue {
			h.t.Errorf("a board waited for %v in its handshake", waited)
		}
		if err == nil {
			return
		}
		r, ok := errors.AsType[gateway.Retry](err)
		if !ok || !errors.Is(err, gateway.ErrTold) || r.RetryAfter() <= 0 || r.RetryAfter() > noise.MaxDelay {
			h.t.Errorf("%v: no board knows when to come back", err)
			return
		}
		time.Sleep(r.RetryAfter())
	}
}

// 10 000 boards at the same moment are admitted at a bounded rate; each waits in its
// handshake for a bounded time, and before its Lease is over it is in.
func TestAdmissionOfHerd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const boards = 10_000
		h := &herd{t: t, setup: newSetup(anybody)}
		begin := time.Now()
		var running sync.WaitGroup
		for i := range boards {
			running.Go(func() { h.connect(begin, i) })
		}
		running.Wait()
		slices.Sort(h.admitted)
		most := 0
		for i, j := 0, 0; j < boards; j++ {
			for h.admitted[j]-h.admitted[i] >= time.Second {
				i++
			}
			most = max(most, j-i+1)
		}
		last := h.admitted[boards-1]
		t.Logf("the last of %d boards is in after %v and %d tries, at most %d in one second", boards, last, h.tries, most)
		if most > admissionRate+admissionBurst+1 || last > 45*time.Second {
			t.Errorf("want %d a second at most and all within 45 s", admissionRate+admissionBurst)
		}
	})
}

// 200 boards wait for nothing.
func TestAdmissionOfFewBoards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &herd{t: t, setup: newSetup(anybody)}
		begin := time.Now()
		for i := range 200 {
			h.connect(begin, i)
			if err := h.setup.turns.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(begin); d > 0 {
			t.Errorf("they waited for %v", d)
		}
	})
}

func TestAdmissionEndsWithItsBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(anybody)
		for range admissionBurst + admissionRate {
			s.admissions.Reserve()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := s.admit(ctx, testKey(1)); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

// Boards that are not approved, and one that connects all the time, keep no board waiting.
func TestAdmissionOfFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const boards = 100
		s := newSetup(func(_ context.Context, key v1alpha1.Key) bool { return key[0] == 0 })
		begin := time.Now()
		for i := range 10_000 {
			unlisted := testKey(i)
			unlisted[0] = 1
			for _, key := range []v1alpha1.Key{unlisted, testKey(boards)} {
				if err := s.admit(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range boards {
			if err := s.admit(t.Context(), testKey(i)); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d > 0 {
			t.Errorf("boards waited for %v", d)
		}
	})
}

// A board whose key is in use is asked to try again soon, and others decide themselves.
func TestRetryOfRefusals(t *testing.T) {
	t.Parallel()
	for reason, want := range map[enrolment.Reason]time.Duration{enrolment.KeyInUse: 2 * time.Second, enrolment.Pending: 0, enrolment.Revoked: 0} {
		if d := (told{&enrolment.Refusal{Reason: reason}}).RetryAfter(); d != want {
			t.Errorf("%s: %v, want %v", reason, d, want)
		}
	}
}
