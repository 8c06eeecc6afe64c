// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

var ringKeys = sync.OnceValue(func() [3]noise.Key {
	all := linkKeys()
	return [3]noise.Key{all[0], all[3], all[2]} // nobody's board in these tests
})

// storing is a board that trusts a key of the gateway and stores what is announced.
type storing struct {
	mu     sync.Mutex
	stored []noise.Announcement
}

func (b *storing) board(known noise.PublicKey) func(*session.Board) {
	return func(c *session.Board) {
		c.GatewayKey = known
		c.Store = func(a noise.Announcement) bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.stored = append(b.stored, a)
			return true
		}
	}
}

func (b *storing) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.stored)
}

func (b *storing) last() noise.Announcement {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stored) == 0 {
		return noise.Announcement{}
	}
	return b.stored[len(b.stored)-1]
}

// A rotation as a connected board sees it, and one that was away.
func TestKeyRingRotation(t *testing.T) {
	k := ringKeys()
	var ring *KeyRing
	inLinks(t, func(t *testing.T, h *linkHarness) {
		var here storing
		s, err := h.open(1, here.board(k[0].Public))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := (noise.Announcement{Key: k[0].Public, Only: true}); here.last() != want {
			t.Errorf("announced %v, want %v", here.last(), want)
		}
		ring.Set(k[1], k[0])
		time.Sleep(time.Second)
		synctest.Wait()
		if want := (noise.Announcement{Key: k[1].Public}); here.last() != want {
			t.Errorf("announced %v, want %v", here.last(), want)
		}
		away, err := h.open(2, func(c *session.Board) { c.GatewayKey = k[0].Public })
		if err != nil {
			t.Fatalf("by the older key: %v", err)
		}
		defer func() { _ = away.Close() }()
		synctest.Wait()

		ring.Set(k[1])
		time.Sleep(time.Second)
		synctest.Wait()
		if s.Err() != nil || here.last() != (noise.Announcement{Key: k[1].Public, Only: true}) {
			t.Errorf("the board that has the key: %v, announced %v", s.Err(), here.last())
		}
		if err := away.Err(); !errors.Is(err, noise.ErrEnded) || !strings.Contains(err.Error(), noise.EndKeyDropped.String()) {
			t.Errorf("the board without the key: %v, want %v", err, noise.EndKeyDropped)
		}
		if _, err := h.open(2, func(c *session.Board) { c.GatewayKey = k[0].Public }); !errors.Is(err, noise.ErrHandshakeCut) {
			t.Errorf("by the dropped key: %v, want %v", err, noise.ErrHandshakeCut)
		}
		_ = s.Close()
		s, err = h.open(1, here.board(k[1].Public))
		if err != nil {
			t.Fatalf("by the new key: %v", err)
		}
		_ = s.Close()
	}, func(c *LinkConfig) {
		ring = NewKeyRing(k[0]) // in the bubble
		c.Key, c.Keys = noise.Key{}, ring
	})
}

// Admission is told by which key a board knows the gateway, and which one it has stored.
func TestAdmissionIsToldTheGatewayKey(t *testing.T) {
	k := ringKeys()
	told := &gatewayKeys{}
	inLinks(t, func(t *testing.T, h *linkHarness) {
		var b storing
		s, err := h.open(1, b.board(k[0].Public))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = s.Close()
		if told.used != k[0].Public || told.stored != k[1].Public {
			t.Errorf("used %v, stored %v, want %v, %v", told.used, told.stored, k[0].Public, k[1].Public)
		}
	}, func(c *LinkConfig) {
		told.Admission, c.Admission, c.Keys = c.Admission, told, NewKeyRing(k[0])
		c.Keys.Set(k[1], k[0])
	})
}

// gatewayKeys notes what an Admission is told.
type gatewayKeys struct {
	Admission
	used, stored noise.PublicKey
}

func (g *gatewayKeys) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	g.used = n.GatewayKey
	a, err := g.Admission.Admit(ctx, n)
	a.Stored = func(key noise.PublicKey) { g.stored = key }
	return a, err
}

// A change is not announced to all boards at once.
func TestKeyRingIsAnnouncedAtARate(t *testing.T) {
	k := ringKeys()
	var ring *KeyRing
	inLinks(t, func(t *testing.T, h *linkHarness) {
		var b storing
		for range 20 {
			ring.Set(k[1], k[0])
			ring.Set(k[0])
		}
		for n := range 2 {
			s, err := h.open(1+n, b.board(k[0].Public))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
		}
		synctest.Wait()
		begin, before := time.Now(), b.count()
		ring.Set(k[1], k[0])
		for b.count() < before+2 {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(begin); d < time.Second/announceRate {
			t.Errorf("two boards were told within %v", d)
		}
	}, func(c *LinkConfig) {
		ring = NewKeyRing(k[0]) // in the bubble
		c.Key, c.Keys = noise.Key{}, ring
	})
}

func TestKeyRingSet(t *testing.T) {
	t.Parallel()
	k := ringKeys()
	r := NewKeyRing(k[0])
	_, changed := r.get()
	r.Set()
	r.Set(k[0])
	select {
	case <-changed:
		t.Error("no change is told as one")
	default:
	}
	r.Set(k[0], k[1], k[2], k[0])
	if keys, _ := r.get(); len(keys) != noise.MaxGatewayKeys {
		t.Errorf("%d keys", len(keys))
	}
	<-changed
}
