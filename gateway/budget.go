// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A budgetItem is something of which a board has a budget.
type budgetItem int

const (
	requestRate budgetItem = iota
	eventRate
	statusRate
	leaseRate
	bodyRate
	upstreamPlaces // requests under way, see budget.enter
	numItems

	noItem budgetItem = -1
)

var itemNames = [numItems]string{"requests", "events", "statuses", "leases", "bytes", "places"}

// limit is a token bucket.
type limit struct {
	rate  rate.Limit // a second
	burst int
}

// limits are the budget of one board. A kubelet renews its Lease each 10 s, and
// sends its status each 10 s at the fastest. A boot costs about 15 requests at once:
// Node, status, Lease, up to 8 Events that were waiting, list and watch of up to 4
// ConfigMaps; a Node that is repaired costs up to 9 patches. Tries after an error
// start 100 ms apart and double, so each of four tasks makes 4 in the first second.
// An Event stays in the API server for an hour: 1 a second, of 4 KiB, are 14 MiB of
// etcd's 2 GiB at most.
var limits = [upstreamPlaces]limit{
	requestRate: {rate: 10, burst: 40},
	eventRate:   {rate: 1, burst: 25},
	statusRate:  {rate: 1, burst: 20},
	leaseRate:   {rate: 1, burst: 10},
	bodyRate:    {rate: 4 << 10, burst: 64 << 10},
}

// patience is how many requests beyond its budget a board may make before it is
// barred for barTime. One that obeys Retry-After makes one a second at most.
var patience = limit{rate: 1, burst: 60}

const (
	barTime = 30 * time.Second
	// budgetMemory is after which time without a request a budget is full again, and
	// is forgotten.
	budgetMemory = time.Minute
)

// Requests of one board that may be under way at one time. A kubelet makes one after
// the other; the second covers one whose board has given it up already.
const (
	maxPlaces      = 2
	maxLeasePlaces = 1 // beside those
)

// budget is what one board may still spend. It outlives the board's connections.
type budget struct {
	buckets  [upstreamPlaces]*rate.Limiter
	patience *rate.Limiter
	lines    lineLimit

	mu     sync.Mutex
	places int       // in use, without those of Leases
	leases int       // places of Leases in use
	barred time.Time // no request before
}

func newBudget(limits *[upstreamPlaces]limit) *budget {
	b := &budget{patience: patience.bucket(), lines: newLineLimit(5)}
	for i, l := range limits {
		b.buckets[i] = l.bucket()
	}
	return b
}

func (l limit) bucket() *rate.Limiter { return rate.NewLimiter(l.rate, l.burst) }

// spend takes n of a resource, or nothing, and says after which time there is enough.
func (b *budget) spend(what budgetItem, n int, now time.Time) (wait time.Duration) {
	if wait = b.barredFor(now); wait > 0 {
		return wait
	}
	r := b.buckets[what].ReserveN(now, n)
	if !r.OK() {
		return budgetMemory // more than there ever is
	}
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// enter takes a place for a request, until leave; false if the board has its share.
func (b *budget) enter(lease bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, most := &b.places, maxPlaces
	if lease {
		n, most = &b.leases, maxLeasePlaces
	}
	if *n >= most {
		return false
	}
	*n++
	return true
}

func (b *budget) leave(lease bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lease {
		b.leases--
	} else {
		b.places--
	}
}

// overspent notes a request beyond the budget, and reports whether the board is
// barred for it from now on.
func (b *budget) overspent(now time.Time) bool {
	if b.patience.AllowN(now, 1) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.barred) {
		return false
	}
	b.barred = now.Add(barTime)
	return true
}

// barredFor is how long the board is still barred.
func (b *budget) barredFor(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.barred.Sub(now)
}

// overBudget refuses a request beyond the budget.
func overBudget(what budgetItem, wait time.Duration) *refusal {
	r := refuse(http.StatusTooManyRequests, "budget", "this board has used up its budget of %s: wait as Retry-After says", describeLimit(what))
	r.retryAfter = max(1, int(math.Ceil(wait.Seconds())))
	return r
}

func describeLimit(what budgetItem) string {
	if what == upstreamPlaces {
		return fmt.Sprintf("requests at one time, %d", maxPlaces)
	}
	return fmt.Sprintf("%s, %v per second and %d at once", itemNames[what], limits[what].rate, limits[what].burst)
}
