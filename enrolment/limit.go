// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// How often a board may ask for what costs something. A limit of its own stands
// against each: none lets a peer spend what others need.
var (
	strangerLimit = limit{every: 10 * time.Second, burst: 20}       // of an address: new Devices
	tokenLimit    = limit{every: 500 * time.Millisecond, burst: 50} // of an address: join tokens looked at
	tokenTotal    = limit{every: 20 * time.Millisecond, burst: 100} // of all addresses
	contactLimit  = limit{every: 2 * time.Second, burst: 5}         // of a Device: hellos
	notedLimit    = limit{every: time.Minute, burst: 1}             // of a Device: refusals written into its status
	evictionLimit = limit{every: time.Minute, burst: 1}             // of all: pending Devices of boards that are there
	spokenLimit   = limit{every: loudness, burst: 1}                // of a reason and a Device: log and Event
)

// limit is a token bucket.
type limit struct {
	every time.Duration // for one attempt more
	burst int
}

// maxLimited is how many addresses or Devices are remembered; the one that was
// silent longest is forgotten first.
const maxLimited = 16_384

// limiter keeps a limit for each key.
type limiter struct {
	limit limit
	now   func() time.Time

	mu   sync.Mutex
	keys *lru.Cache
}

func newLimiter(l limit, now func() time.Time) *limiter {
	return &limiter{limit: l, now: now, keys: lru.New(maxLimited)}
}

// allow takes one attempt of key; false if there is none.
func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.keys.Get(key)
	if !ok {
		bucket = rate.NewLimiter(rate.Every(l.limit.every), l.limit.burst)
		l.keys.Add(key, bucket)
	}
	return bucket.(*rate.Limiter).AllowN(l.now(), 1)
}

// subnet is what is limited as one address: of IPv6 the /64, which one host has
// (RFC 4291, section 2.5.4).
func subnet(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return addr
	}
	return p.String()
}
