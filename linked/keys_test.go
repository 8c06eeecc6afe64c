// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
	"github.com/picolet/picolet/linked"
)

var moreKeys = sync.OnceValue(func() (keys [3]noise.Key) {
	for i := range keys {
		keys[i] = newKey()
	}
	return keys
})

// rotation is a gateway whose keys change, and the store of a board that follows.
type rotation struct {
	*world
	mu     sync.Mutex
	keys   []noise.Key // of the gateway
	stored [2]noise.PublicKey
	writes int
	acked  []noise.Announcement
	broken error // of the store
}

func newRotation(known, next noise.PublicKey, keys ...noise.Key) *rotation {
	r := &rotation{world: &world{}, keys: keys, stored: [2]noise.PublicKey{known, next}}
	r.gateway = func(g *session.Gateway) {
		r.mu.Lock()
		defer r.mu.Unlock()
		g.Key, g.MoreKeys = r.keys[0], r.keys[1:]
		g.Acknowledged = func(a noise.Announcement) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.acked = append(r.acked, a)
		}
	}
	r.change = func(c *linked.Config) {
		r.mu.Lock()
		defer r.mu.Unlock()
		c.GatewayKey, c.NextKey = r.stored[0], r.stored[1]
		c.StoreKeys = func(known, next noise.PublicKey) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.broken != nil {
				return r.broken
			}
			r.stored = [2]noise.PublicKey{known, next}
			r.writes++
			return nil
		}
	}
	return r
}

// counts returns how often the board has stored keys, and how many it has acknowledged.
func (r *rotation) counts() (writes, acked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writes, len(r.acked)
}

func (r *rotation) breaks(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

// relink ends the link, and waits for the next one.
func (r *rotation) relink(keys ...noise.Key) {
	r.t.Helper()
	if keys != nil {
		r.mu.Lock()
		r.keys = keys
		r.mu.Unlock()
	}
	n := r.links()
	if s := r.session(); s != nil {
		_ = s.Close()
	}
	r.until(30*time.Second, "there is another link", func() bool { return r.links() > n })
}

func (r *rotation) announce(a noise.Announcement) {
	r.session().Announce(a)
	time.Sleep(2 * time.Minute) // so that the next one may be stored, too
}

func (r *rotation) check(what string, known, next noise.PublicKey, by noise.PublicKey) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stored != [2]noise.PublicKey{known, next} {
		r.t.Errorf("%s: stored %v, want %v, %v", what, r.stored, known, next)
	}
	if got := r.session().Peer().GatewayKey; got != by {
		r.t.Errorf("%s: linked by %v, want %v", what, got, by)
	}
}

// A whole rotation, and a second one.
func TestGatewayKeyRotation(t *testing.T) {
	k := moreKeys()
	var none noise.PublicKey
	r := newRotation(k[0].Public, none, k[0])
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		r.announce(noise.Announcement{Key: k[1].Public})
		r.check("announced", k[0].Public, k[1].Public, k[0].Public)
		r.relink(k[0], k[1])
		r.check("linked again", k[0].Public, k[1].Public, k[1].Public)
		r.announce(noise.Announcement{Key: k[1].Public, Only: true})
		r.check("dropped", k[1].Public, none, k[1].Public)
		r.relink(k[1])
		r.announce(noise.Announcement{Key: k[2].Public})
		r.relink(k[1], k[2])
		r.check("rotated again", k[1].Public, k[2].Public, k[2].Public)
		if writes, acked := r.counts(); writes != 3 || acked != 3 {
			t.Errorf("%d writes and %d acknowledgments, want 3", writes, acked)
		}
	})
}

// What a board knows already is acknowledged and not written.
func TestAnnouncementOfAKnownKey(t *testing.T) {
	k := moreKeys()
	r := newRotation(k[0].Public, k[1].Public, k[1], k[0])
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		r.announce(noise.Announcement{Key: k[1].Public})
		r.relink()
		r.announce(noise.Announcement{Key: k[1].Public})
		if writes, acked := r.counts(); writes != 0 || acked != 2 {
			t.Errorf("%d writes and %d acknowledgments, want 0 and 2", writes, acked)
		}
	})
}

// A gateway that knows one of the board's keys, whichever that is, gets it within a
// lease.
func TestGatewayKeysTakeTurns(t *testing.T) {
	for i, name := range []string{"the older", "the newer"} {
		t.Run(name, func(t *testing.T) {
			k := moreKeys()
			r := newRotation(k[0].Public, k[1].Public, k[i])
			in(t, r.world, func() {
				r.until(10*time.Second, "the node is registered", r.registered)
				r.relink()
				r.check("again", k[0].Public, k[1].Public, k[i].Public)
			})
		})
	}
}

// Who has stolen the old key can be the gateway where the board still trusts that
// key, but the board keeps the new one and prefers it.
func TestStolenOldKeyTakesNoTrustAway(t *testing.T) {
	k := moreKeys()
	r := newRotation(k[0].Public, k[1].Public, k[0])
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		for _, a := range []noise.Announcement{
			{Key: k[2].Public}, {Key: k[2].Public, Only: true}, {Key: k[0].Public, Only: true}, {Key: k[1].Public, Only: true},
		} {
			r.announce(a)
			r.check("stolen", k[0].Public, k[1].Public, k[0].Public)
		}
		if !strings.Contains(r.log(), "announced a key over a link by its older key") {
			t.Error(r.log())
		}
		if writes, acked := r.counts(); writes != 0 || acked != 2 {
			t.Errorf("%d writes and %d acknowledgments, want 0, and 2 of keys that the board has", writes, acked)
		}
		r.relink(k[1], k[0])
		r.check("the gateway is back", k[0].Public, k[1].Public, k[1].Public)
	})
}

// A dropped key is of no use to a thief.
func TestDroppedGatewayKeyIsNotTrusted(t *testing.T) {
	k := moreKeys()
	r := newRotation(k[1].Public, noise.PublicKey{}, k[1])
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		r.mu.Lock()
		r.keys = k[:1] // the thief's
		r.mu.Unlock()
		_ = r.session().Close()
		time.Sleep(5 * time.Minute)
		if r.links() != 1 {
			t.Error("the board trusts a dropped key")
		}
		r.relink(k[1])
	})
}

// A gateway that announces its keys in turn does not wear out the flash.
func TestAnnouncementFlood(t *testing.T) {
	k := moreKeys()
	r := newRotation(k[0].Public, noise.PublicKey{}, k[0])
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		begin := time.Now()
		for i := range 200 {
			r.session().Announce(noise.Announcement{Key: k[(i+1)%2].Public})
			time.Sleep(time.Second)
			r.relink(k[(i+1)%2], k[i%2])
		}
		writes, _ := r.counts()
		if limit := 1 + int(time.Since(begin)/time.Minute); writes < 2 || writes > limit {
			t.Errorf("%d writes in %v, want at most one a minute", writes, time.Since(begin))
		}
	})
}

func TestGatewayKeyNotStored(t *testing.T) {
	k := moreKeys()
	r := newRotation(k[0].Public, noise.PublicKey{}, k[0], k[1])
	r.broken = errors.New("flash is worn out")
	in(t, r.world, func() {
		r.until(10*time.Second, "the node is registered", r.registered)
		r.announce(noise.Announcement{Key: k[1].Public})
		if _, acked := r.counts(); acked != 0 || !strings.Contains(r.log(), "flash is worn out") {
			t.Errorf("%d acknowledged\n%s", acked, r.log())
		}
		r.relink()
		r.check("not stored", k[0].Public, noise.PublicKey{}, k[0].Public)
		r.breaks(nil)
		r.announce(noise.Announcement{Key: k[1].Public})
		r.check("stored at last", k[0].Public, k[1].Public, k[0].Public)
	})
}
