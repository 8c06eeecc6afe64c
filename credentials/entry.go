// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	obtainTimeout = time.Minute // for a certificate, with everything
	// A node whose certificate could not be had is tried again after firstRetry,
	// then ever later, up to lastRetry.
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
)

var (
	errDropped = errors.New("the node's credentials were removed while they were asked for")
	errRefused = errors.New("the API server does not take the node's client certificate (401): its --client-ca-file must hold the CA of the signer " + signer)
)

// entry is one node of a pool.
type entry struct {
	pool *Pool
	node string
	used time.Time // guarded by the pool's lock

	mu      sync.Mutex
	held    *holding      // nil: none yet
	work    chan struct{} // closed when the certificate under way is there, or not; nil: none is under way
	err     error         // of the last attempt
	retryAt time.Time     // no attempt before
	backoff wait.Backoff
	dropped bool
}

// transport returns the transport with the node's certificate.
func (e *entry) transport(ctx context.Context) (http.RoundTripper, error) {
	for {
		t, work, err := e.current()
		if t != nil || err != nil {
			return t, err
		}
		select {
		case <-work:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the certificate of node %s, which is requested: %w", e.node, ctx.Err())
		}
	}
}

// current returns the transport if there is one, and else what to wait for, or
// why there is nothing to wait for. It sees to it that a certificate is obtained
// where there is none, or it is due.
func (e *entry) current() (http.RoundTripper, <-chan struct{}, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.pool.config.Now()
	usable := e.held != nil && now.Before(e.held.leaf.NotAfter) && !e.held.refused.Load()
	if usable && now.Before(e.held.renewAt) {
		return e.held, nil, nil
	}
	err := e.begin(now)
	switch {
	case usable:
		return e.held, nil, nil
	case e.work != nil:
		return nil, e.work, nil
	}
	return nil, nil, err
}

// begin starts to obtain a certificate, unless that is under way, was in vain just
// now, or too many others are. The lock is held.
func (e *entry) begin(now time.Time) error {
	switch {
	case e.dropped:
		return errDropped
	case e.work != nil:
		return nil
	case now.Before(e.retryAt):
		return fmt.Errorf("%w (tried again in %v)", e.err, e.retryAt.Sub(now).Round(time.Second))
	}
	select {
	case e.pool.requests <- struct{}{}:
	default:
		return ErrBusy
	}
	e.work = make(chan struct{})
	go e.obtain(e.held)
	return nil
}

// obtain gets a certificate in place of old, whoever waits for it.
func (e *entry) obtain(old *holding) {
	defer func() { <-e.pool.requests }()
	ctx, cancel := context.WithTimeout(e.pool.ctx, obtainTimeout)
	defer cancel()
	h, err := e.pool.obtain(ctx, e.node, old)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err != nil:
		e.failed(err)
	case e.dropped:
		h.close()
	default:
		e.hold(h)
	}
	close(e.work)
	e.work = nil
}

// hold puts h in the place of what is held. The lock is held.
func (e *entry) hold(h *holding) {
	refused := e.held != nil && e.held.refused.Load()
	if e.held != nil {
		e.held.close()
	}
	e.held = h
	if refused { // as this one may be: not a new one for each request
		e.putOff(errRefused)
		return
	}
	e.err, e.retryAt, e.backoff = nil, time.Time{}, wait.Backoff{}
}

// putOff keeps the reason and the time of the next attempt. The lock is held.
func (e *entry) putOff(err error) (delay time.Duration) {
	if e.backoff.Duration == 0 {
		e.backoff = wait.Backoff{Duration: firstRetry, Factor: 2, Jitter: 0.2, Steps: 10, Cap: lastRetry}
	}
	delay = e.backoff.Step()
	e.err, e.retryAt = err, e.pool.config.Now().Add(delay)
	return delay
}

// failed puts the next attempt off, and says why. The lock is held.
func (e *entry) failed(err error) {
	delay := e.putOff(err)
	if e.pool.ctx.Err() == nil {
		e.pool.config.Logger.Warn("Cannot get the client certificate of a node", "node", e.node, "retry", delay.Round(time.Second), "err", err)
	}
}

func (e *entry) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped = true
	if e.held != nil {
		e.held.close()
		e.held = nil
	}
}
