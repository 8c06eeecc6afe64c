// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestRequestPlaces: a request waits for a place for a second, a renewal for five, and
// a quarter of the places is for renewals alone.
func TestRequestPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newRequestPlaces(4)
		var releases []func()
		take := func(renewal bool, want error, after time.Duration) {
			t.Helper()
			begin := time.Now()
			release, err := p.take(t.Context(), renewal)
			if !errors.Is(err, want) || time.Since(begin) != after {
				t.Errorf("renewal %t: %v after %v, want %v after %v", renewal, err, time.Since(begin), want, after)
			}
			if err == nil {
				releases = append(releases, release)
			}
		}
		for range 3 {
			take(false, nil, 0)
		}
		take(false, errBusy, requestPatience)
		take(true, nil, 0)
		take(true, errBusy, renewalPatience)
		time.AfterFunc(requestPatience/2, releases[0])
		take(false, nil, requestPatience/2)
		time.AfterFunc(2*requestPatience, releases[1])
		take(true, nil, 2*requestPatience)
		for _, release := range releases[2:] {
			release()
		}
		if p.inUse() != 0 || len(p.common) != 0 {
			t.Errorf("%d places in use, %d of them common", p.inUse(), len(p.common))
		}
	})
}
