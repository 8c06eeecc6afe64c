// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// requestInterval is how long a node's signing request may stay unanswered before the
// node makes another. kube-controller-manager deletes pending ones after 24 h
// (pkg/controller/certificates/cleaner).
const requestInterval = time.Hour

// turns say when a node may make its next signing request. They outlive the stays of
// its board, so that one that reconnects often leaves no more requests than another.
type turns struct {
	all *rate.Limiter // of all nodes

	mu    sync.Mutex
	taken *lru.Cache // time.Time of the last request without an answer, by node
}

func newTurns(all *rate.Limiter) *turns { return &turns{all: all, taken: lru.New(maxStores)} }

// wait takes the node's turn when it comes, and then one among all nodes, or returns
// when ctx ends.
func (t *turns) wait(ctx context.Context, node string) error {
	if err := t.waitOwn(ctx, node); err != nil {
		return err
	}
	err := t.all.Wait(ctx)
	if err != nil {
		t.clear(node)
	}
	return err
}

func (t *turns) waitOwn(ctx context.Context, node string) error {
	for {
		left := t.take(node)
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// take takes the turn, or returns how long it is to wait.
func (t *turns) take(node string) (left time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.taken.Get(node); ok {
		if left = requestInterval - time.Since(last.(time.Time)); left > 0 {
			return left
		}
	}
	t.taken.Add(node, time.Now())
	return 0
}

// clear gives a node its turn back: its request was answered, or not made.
func (t *turns) clear(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken.Remove(node)
}
