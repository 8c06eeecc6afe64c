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

// requestPlaces are those of requests under way to the API server. A quarter is kept for
// renewals of Leases, without which nodes are taken for dead; these wait for a place,
// the first come first, and others do not wait.
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
		return p.await(ctx)
	}
	select {
	case p.common <- struct{}{}:
	default:
		return nil, errBusy
	}
	select {
	case p.all <- struct{}{}:
		return func() { <-p.common; <-p.all }, nil
	default:
		<-p.common
		return nil, errBusy
	}
}

// await takes a place for a renewal. Who waits in a channel is served in turn, and
// before who comes only now.
func (p *requestPlaces) await(ctx context.Context) (release func(), err error) {
	patience := time.NewTimer(renewalPatience)
	defer patience.Stop()
	select {
	case p.all <- struct{}{}:
		return func() { <-p.all }, nil
	case <-patience.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *requestPlaces) inUse() int { return len(p.all) }
