// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked

import (
	"time"

	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/link/noise"
)

// storeInterval is the least time between two writes of the gateway's keys: whoever
// has one of them must not be able to wear out the board's flash by announcements.
const storeInterval = time.Minute

// gatewayKeys are the gateway's public keys that the board trusts, one or two. Trust
// moves forward only: a key is learned over a link that the newest key has
// authenticated, so an old key that was stolen cannot take the place of its successor.
type gatewayKeys struct {
	known noise.PublicKey // was provisioned, or has authenticated a link
	next  noise.PublicKey // was announced over a link by known; zero: none
	store func(known, next noise.PublicKey) error

	older   bool          // known is tried, since next has failed
	storeAt time.Duration // the next write is not before
}

// try is the key for the next handshake: the newest, or known after that has failed.
func (k *gatewayKeys) try() noise.PublicKey {
	if k.older {
		return k.known
	}
	return k.newest()
}

func (k *gatewayKeys) newest() noise.PublicKey {
	if k.next == (noise.PublicKey{}) {
		return k.known
	}
	return k.next
}

// ended chooses the key for the handshake after a link. The keys take turns while
// handshakes fail; a refusal shows that the key is good.
func (k *gatewayKeys) ended(up bool, why error) {
	k.older = !up && k.older != (why != noise.ErrRefused)
}

// after returns the keys to trust after an announcement over a link that by has
// authenticated. ok reports whether the announced key is one of them.
func (k *gatewayKeys) after(by noise.PublicKey, a noise.Announcement) (known, next noise.PublicKey, ok bool) {
	switch {
	case by != k.newest():
		return k.known, k.next, a.Key == k.known || a.Key == k.next
	case a.Key != by:
		return by, a.Key, true
	case a.Only:
		return by, noise.PublicKey{}, true
	}
	return k.known, k.next, true
}

// learn stores a key that the gateway has announced, and acknowledges it.
func (l *Kubelet) learn(now time.Duration) {
	k := &l.keys
	if k.store == nil || now < k.storeAt {
		return
	}
	a, announced := l.link.Announced()
	if !announced {
		return
	}
	known, next, ok := k.after(l.link.Peer(), a)
	if !ok {
		l.k.Record(now, logring.Warn, "Gateway announced a key over a link by its older key, provision the board again").End()
		return
	}
	if known != k.known || next != k.next {
		if err := k.store(known, next); err != nil {
			l.k.Record(now, logring.Warn, "Gateway's key cannot be stored").Err(err).End()
			return
		}
		k.known, k.next, k.storeAt = known, next, now+storeInterval
		l.k.Record(now, logring.Info, "Gateway's keys stored").End()
	}
	l.link.Acknowledge()
}
