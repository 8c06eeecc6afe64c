// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// rights is what is known of the gateway's own standing at the API server.
type rights struct {
	doubt chan struct{} // asks keepRights to look again

	mu       sync.Mutex
	err      error // why the gateway is not ready; nil: it is
	identity string
	mode     IdentityMode // that was told last
}

var errNotChecked = errors.New("the gateway has not reached the API server yet")

func newRights() *rights {
	return &rights{err: errNotChecked, doubt: make(chan struct{}, 1)}
}

func (r *rights) set(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *rights) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *rights) setIdentity(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.identity = name
}

// settle keeps the way to act for nodes, and reports whether it is a new one.
func (r *rights) settle(mode IdentityMode) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.mode != mode
	r.mode = mode
	return changed
}

// subject is the gateway's identity as an argument of `kubectl create rolebinding`.
func (r *rights) subject() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if account, ok := strings.CutPrefix(r.identity, "system:serviceaccount:"); ok {
		return "--serviceaccount=" + account
	}
	return "--user=" + r.identity
}

// refusal keeps boards out until the gateway knows that it may serve them, and
// that it does not hold more rights than it should.
func (r *rights) refusal() *refusal {
	if r.get() == nil {
		return nil
	}
	return unavailable("not_ready", retryUpstream, "the gateway is not ready; its /readyz and its log say why")
}

// rightsLost logs that the API server turned the gateway itself away, and has
// its rights looked at again.
func (g *Gateway) rightsLost(message string) {
	select {
	case g.rights.doubt <- struct{}{}:
		g.log.Error("API server refused the gateway itself", "err", message)
	default:
	}
}

// keepRights runs Preflight until it passes, and again whenever a request puts
// it in doubt. It returns when ctx ends, and with an error if the gateway must
// not run.
func (g *Gateway) keepRights(ctx context.Context) error {
	for doubts := 0; ctx.Err() == nil; doubts++ {
		if err := g.gainRights(ctx); err != nil {
			return err
		}
		passed := time.Now()
		select {
		case <-ctx.Done():
		case <-g.rights.doubt:
		}
		pause := time.Second // a burst of refusals is one doubt
		if doubts > 0 && time.Since(passed) < doubtPause {
			pause = doubtPause
		}
		sleep(ctx, pause)
	}
	return nil
}

// doubtPause bounds how often requests have Preflight run that are refused although it
// passes.
const doubtPause = 10 * time.Second

// gainRights runs Preflight until it passes or says that it never may.
func (g *Gateway) gainRights(ctx context.Context) error {
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 15 * time.Second}
	for ctx.Err() == nil {
		err := g.Preflight(ctx)
		if ctx.Err() != nil {
			return nil
		}
		g.rights.set(err)
		switch {
		case err == nil:
			g.log.Info("Gateway is ready", "server", g.upstream.base.Host)
			return nil
		case errors.Is(err, ErrClusterAdmin):
			return err
		}
		g.log.Warn("Gateway is not ready", "err", err)
		sleep(ctx, backoff.Step())
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
