// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// feedLinger is how long a ConfigMap stays watched after its last board left:
// long enough for a board that reconnects, or one that polls every 30 s.
const feedLinger = time.Minute

// configMapCache hands out ConfigMaps to any number of boards, each from one
// upstream watch under the gateway's own identity.
type configMapCache struct {
	client  corev1client.ConfigMapsGetter
	max     int
	log     *slog.Logger
	subject func() string // of the Role that a refusal asks for
	doubt   func()        // the API server did not take the gateway's credentials
	// supersede closes a connection whose watch a newer one takes over.
	supersede func(conn *boardConn, why string)

	closing  chan struct{}
	watchers atomic.Int64
	events   atomic.Int64

	lines lineLimit // of warnings about ConfigMaps

	mu     sync.Mutex
	feeds  map[feedKey]*feed
	denied denials
	closed bool
}

type feedKey struct{ namespace, name string }

func newConfigMapCache(client corev1client.ConfigMapsGetter, maxFeeds int, log *slog.Logger) *configMapCache {
	return &configMapCache{
		client: client, max: maxFeeds, log: log,
		subject: func() string { return "--serviceaccount=picolet-system:picolet-gateway" }, doubt: func() {},
		supersede: func(conn *boardConn, _ string) { _ = conn.Close() },
		closing:   make(chan struct{}), feeds: make(map[feedKey]*feed), denied: make(denials), lines: newLineLimit(20),
	}
}

// acquire returns the feed of one ConfigMap, started if need be. The caller
// must release it.
func (c *configMapCache) acquire(key feedKey) (*feed, *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.feeds[key]
	if f == nil {
		if c.closed {
			return nil, unavailable("shutdown", 1, "the gateway is shutting down")
		}
		if r := c.denied.of(key, time.Now()); r != nil {
			return nil, r
		}
		if r := c.room(); r != nil {
			return nil, r
		}
		f = c.start(key)
	}
	f.boards++
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	return f, nil
}

// room makes sure that one more feed fits, if need be in place of one that no
// board reads.
func (c *configMapCache) room() *refusal {
	if len(c.feeds) < c.max {
		return nil
	}
	for _, f := range c.feeds {
		if f.boards == 0 {
			c.stop(f)
			return nil
		}
	}
	return unavailable("configmaps", 30, "boards read %d ConfigMaps, which is all that this gateway may watch; raise --max-configmaps", c.max)
}

func (c *configMapCache) start(key feedKey) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFeed(c, key, cancel)
	c.feeds[key] = f
	go f.run(ctx)
	return f
}

func (c *configMapCache) stop(f *feed) {
	if f.linger != nil {
		f.linger.Stop()
	}
	f.cancel()
	delete(c.feeds, f.key)
}

// release gives a feed back. What could not be read is not kept, so that asking
// for it cannot fill the cache; that it may not be read is remembered for a while.
func (c *configMapCache) release(f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.boards--; f.boards > 0 || c.closed {
		return
	}
	if s, _ := f.load(); !s.synced() {
		if s.denied != nil {
			c.denied.add(f.key, s.denied, time.Now())
		}
		c.stop(f)
		return
	}
	f.linger = time.AfterFunc(feedLinger, func() { c.expire(f) })
}

// expire stops a feed unless a board came back, or another feed has its place.
func (c *configMapCache) expire(f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.boards == 0 && c.feeds[f.key] == f {
		c.stop(f)
	}
}

// close ends every watch, upstream and of boards. The cache stays closed.
func (c *configMapCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	close(c.closing)
	for _, f := range c.feeds {
		c.stop(f)
	}
}

func (c *configMapCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.feeds)
}
