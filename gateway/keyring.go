// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/time/rate"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// announceRate is how many links are told of a change of keys in a second: each board
// writes its flash then, and the Device of each is patched.
const announceRate = 50

// KeyRing holds the key pairs by which boards know a gateway, the newest first. A board
// that is linked by another key learns the newest. Make it by [NewKeyRing]; it is safe
// for use by several goroutines.
type KeyRing struct {
	mu      sync.Mutex
	keys    []noise.Key
	changed chan struct{} // closed by the next change
}

// NewKeyRing returns a ring of one key.
func NewKeyRing(key noise.Key) *KeyRing {
	return &KeyRing{keys: []noise.Key{key}, changed: make(chan struct{})}
}

// Set replaces the keys by 1 to noise.MaxGatewayKeys others, the newest first. Links by
// a key that is gone end, unless their boards have stored the newest one.
func (r *KeyRing) Set(keys ...noise.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(keys) == 0 || slices.EqualFunc(r.keys, keys, func(a, b noise.Key) bool { return a.Public == b.Public }) {
		return
	}
	r.keys = slices.Clone(keys[:min(len(keys), noise.MaxGatewayKeys)])
	close(r.changed)
	r.changed = make(chan struct{})
}

// get returns the keys, not to be changed, and a channel that the next change closes.
func (r *KeyRing) get() (keys []noise.Key, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys, r.changed
}

// withKeys gives a session the gateway's keys.
func (l *boardLink) withKeys(g session.Gateway) session.Gateway {
	keys, _ := l.keys.get()
	g.Key, g.MoreKeys, g.Acknowledged = keys[0], keys[1:], l.acknowledged
	return g
}

// acknowledged notes that the board has stored a key.
func (l *boardLink) acknowledged(a noise.Announcement) {
	l.stored.Store(&a.Key)
	if l.admitted.Stored != nil {
		l.admitted.Stored(a.Key)
	}
}

// announce tells the board the newest key, and ends a link by a key that is gone. The
// board of such a link that has stored the newest key does not need the old one.
func (l *boardLink) announce() {
	keys, _ := l.keys.get()
	stored := l.peer.GatewayKey
	if p := l.stored.Load(); p != nil {
		stored = *p
	}
	if !slices.ContainsFunc(keys, func(k noise.Key) bool { return k.Public == stored }) {
		l.end(noise.EndKeyDropped)
		return
	}
	l.session.Announce(noise.Announcement{Key: keys[0].Public, Only: len(keys) == 1})
}

// followKeys announces each change of the keys to all links.
func (s *linkServer) followKeys(ctx context.Context) {
	limit := rate.NewLimiter(announceRate, 1)
	for _, changed := s.config.Keys.get(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		_, changed = s.config.Keys.get()
		for _, l := range s.links.all() {
			if limit.Wait(ctx) != nil {
				return
			}
			l.announce()
		}
	}
}
