// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/gateway"
)

// What boards that connect cost the API server is bounded: after a power cut or a restart all
// do so at the same time. What a board must wait for, its admission, is one write and two
// reads. All else waits for its turn while the board renews its Lease already: the patch
// of the Node, the serving certificate and the pod take a turn each, of up to four
// requests. Of 10 000 boards the last is admitted after 35 s, by TestAdmissionOfHerd; by
// the rates below, it has its pod after five minutes.
const (
	admissionRate  = 300 // boards a second
	admissionBurst = 300
	turnRate       = 100 // turns a second
	turnBurst      = 300

	// maxQueue is how long a board may wait within its handshake, of the ten seconds that
	// this may take.
	maxQueue = 4 * time.Second
)

// A board takes part in the queue no more often than enrollment decides on it; beyond that
// it is refused there, without a request.
const (
	contactInterval = 2 * time.Second
	contactBurst    = 5
	maxContacts     = 16_384 // boards remembered, the latest ones
)

// setup bounds the work of links that come up.
type setup struct {
	approved   func(context.Context, v1alpha1.Key) bool
	admissions *rate.Limiter
	turns      *rate.Limiter

	mu       sync.Mutex
	contacts *lru.Cache // of *rate.Limiter, by key
}

func newSetup(approved func(context.Context, v1alpha1.Key) bool) *setup {
	return &setup{
		approved: approved, contacts: lru.New(maxContacts),
		admissions: rate.NewLimiter(admissionRate, admissionBurst), turns: rate.NewLimiter(turnRate, turnBurst),
	}
}

// admit waits until the board with a key may be decided on. The error is a
// [gateway.Retry] where the board waits elsewhere. Boards that are not approved, or
// connect too often, wait for nothing and keep nobody waiting: Decide refuses them.
func (s *setup) admit(ctx context.Context, key v1alpha1.Key) error {
	if !s.approved(ctx, key) || !s.contact(key) {
		return nil
	}
	return s.queue(ctx)
}

// contact reports whether a board connects no more often than is allowed.
func (s *setup) contact(key v1alpha1.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, ok := s.contacts.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Every(contactInterval), contactBurst)
		s.contacts.Add(key, bucket)
	}
	return bucket.(*rate.Limiter).Allow()
}

func (s *setup) queue(ctx context.Context) error {
	r := s.admissions.Reserve()
	wait := r.Delay()
	if wait > maxQueue {
		r.Cancel()
		return crowded{}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		r.Cancel()
		return context.Cause(ctx)
	}
}

// crowded sends a board away for a while. It is not logged as a warning.
type crowded struct{}

var _ gateway.Retry = crowded{}

func (crowded) Error() string {
	return "many boards connect at this moment: this one has its turn within some seconds"
}

func (crowded) Is(target error) bool { return target == gateway.ErrTold }

// RetryAfter implements gateway.Retry: boards that were sent away come back one after the
// other.
func (crowded) RetryAfter() time.Duration { return maxQueue + rand.N(2*maxQueue) }
