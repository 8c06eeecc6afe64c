// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"time"
)

// renewalPatience is how long a renewal waits for a place. With the time for its
// answer it is over within the 10 s after which a kubelet gives it up, unless the API
// server is slow in earnest.
const renewalPatience = 5 * time.Second

// requestPatience is how long other requests wait: boards that start together take turns,
// and are not refused.
const requestPatience = time.Second

// requestPlaces are those of requests under way to the API server. A quarter is kept for
// renewals of Leases, without which nodes are taken for dead.
type requestPlaces struct {
	all    chan struct{} // one for each request under way
	common chan struct{} // one for each that is no renewal
}

func newRequestPlaces(n int) requestPlaces {
	return requestPlaces{all: make(chan struct{}, n), common: make(chan struct{}, n-n/4)}
}

// take takes a place, which the caller gives back by release.
func (p *requestPlaces) take(ctx context.Context, renewal bool) (release func(), err error) {
	if renewal {
		if err := await(ctx, p.all, renewalPatience); err != nil {
			return nil, err
		}
		return func() { <-p.all }, nil
	}
	if err := await(ctx, p.common, requestPatience); err != nil {
		return nil, err
	}
	select {
	case p.all <- struct{}{}: // it does not wait here, where renewals wait
		return func() { <-p.common; <-p.all }, nil
	default:
		<-p.common
		return nil, errBusy
	}
}

// await takes a place in its turn: a channel serves those who wait in order, and before
// those who arrive later.
func await(ctx context.Context, places chan struct{}, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *requestPlaces) inUse() int { return len(p.all) }
