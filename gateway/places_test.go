// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// slowAdmission decides on a key when the test releases it.
type slowAdmission struct {
	Admission

	mu    sync.Mutex
	gates map[noise.PublicKey]chan struct{}
}

func (a *slowAdmission) gate(key noise.PublicKey) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gates[key] == nil {
		a.gates[key] = make(chan struct{})
	}
	return a.gates[key]
}

// Admit implements Admission; boards of [boardKey] do not wait.
func (a *slowAdmission) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	if n.Key != boardKey(1).Public {
		<-a.gate(n.Key)
	}
	return a.Admission.Admit(ctx, n)
}

// undecided is a board of which the gateway has heard all that it needs, and on which
// Admission has not decided yet.
type undecided struct {
	net.Conn
	key   noise.Key
	ended chan error
}

// ask opens links as n boards, all of which wait for Admission.
func (h *linkHarness) ask(t *testing.T, n int, node func(noise.PublicKey, int) string) (all []*undecided) {
	t.Helper()
	for i := range n {
		u := &undecided{Conn: h.links.dial(fmt.Sprintf("10.0.1.%d:7", i)), key: newTestKey(t), ended: make(chan error, 1)}
		name := node(u.key.Public, i)
		go func() {
			s, err := session.Dial(context.Background(), u.Conn, session.Board{Key: u.key, GatewayKey: gatewayKey().Public, Hello: testHello(name)})
			if err == nil {
				<-s.Done()
				err = s.Close()
			}
			u.ended <- err
		}()
		all = append(all, u)
	}
	synctest.Wait()
	return all
}

// send sends raw bytes behind the board's Hello.
func send(t *testing.T, boards []*undecided, p []byte) {
	t.Helper()
	for _, u := range boards {
		if _, err := u.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

func (a *slowAdmission) release(boards []*undecided) {
	for _, u := range boards {
		close(a.gate(u.key.Public))
	}
	synctest.Wait()
}

func waitEnded(boards []*undecided) {
	for _, u := range boards {
		<-u.ended
	}
}

// badFrame has a length that a frame has, and no other sense.
var badFrame = append([]byte{0, 17}, make([]byte, 17)...)

func stranger(noise.PublicKey, int) string { return "pico-9" }

// inSlowAdmission runs do with a gateway that decides on boards, but for pico-1, when
// the test says so.
func inSlowAdmission(t *testing.T, do func(t *testing.T, h *linkHarness, a *slowAdmission)) {
	t.Helper()
	a := &slowAdmission{gates: make(map[noise.PublicKey]chan struct{})}
	inLinks(t, func(t *testing.T, h *linkHarness) { do(t, h, a) }, func(c *LinkConfig) {
		a.Admission = c.Admission
		c.Admission = a
	})
}

// checkLinks opens a link as an honest board, within a second.
func checkLinks(t *testing.T, h *linkHarness) {
	t.Helper()
	begin := time.Now()
	s, err := h.open(1)
	if err != nil {
		t.Errorf("an honest board gets no link: %v", err)
		return
	}
	defer func() { _ = s.Close() }()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("an honest board has its link after %v", took)
	}
}

// A link that ends by the first frame behind its handshake, while others compute, takes
// no place for computation with it.
func TestHandshakePlaceSurvivesBadFrame(t *testing.T) {
	inSlowAdmission(t, func(t *testing.T, h *linkHarness, a *slowAdmission) {
		places := runtime.GOMAXPROCS(0)
		boards := h.ask(t, places, func(key noise.PublicKey, i int) string {
			node := fmt.Sprintf("bad-%d", i)
			if err := h.list.Allow(key, node); err != nil {
				t.Fatal(err)
			}
			return node
		})
		strangers := h.ask(t, places, stranger)
		send(t, strangers, []byte{0})
		send(t, boards, badFrame)
		a.release(boards)
		a.release(strangers)
		waitEnded(boards)
		waitEnded(strangers)
		checkLinks(t, h)
	})
}

// Boards that wait for Admission hold no place, whatever they send meanwhile.
func TestHandshakePlaceIsFreeDuringAdmission(t *testing.T) {
	inSlowAdmission(t, func(t *testing.T, h *linkHarness, a *slowAdmission) {
		strangers := h.ask(t, runtime.GOMAXPROCS(0), stranger)
		send(t, strangers, []byte{0})
		checkLinks(t, h)
		a.release(strangers)
		waitEnded(strangers)
	})
}

// fillPlaces takes all places, as handshakes do that hang.
func (h *linkHarness) fillPlaces(t *testing.T) (release func()) {
	t.Helper()
	var all []func()
	for range runtime.GOMAXPROCS(0) {
		r, err := h.places.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return func() {
		for _, r := range all {
			r()
		}
	}
}

// A handshake that is evicted while it waits for a place ends at once.
func TestHandshakeEvictedWithoutPlace(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		defer h.fillPlaces(t)()
		ended := make(chan error, 1)
		go func() { ended <- dialError(h.open(1)) }()
		synctest.Wait()
		begin := time.Now()
		_ = h.links.dial("10.0.0.1:8")
		if err := <-ended; err == nil || time.Since(begin) > time.Second {
			t.Errorf("ends after %v: %v", time.Since(begin), err)
		}
		synctest.Wait()
		if n := h.handshakes("crowded"); n != 1 {
			t.Errorf("%v handshakes were evicted\n%s", n, h.log)
		}
	}, func(c *LinkConfig) { c.MaxHandshakesPerAddress = 1 })
}

// /healthz fails when no place has been free for 30 s, and no longer.
func TestHealthWithoutHandshakePlace(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		healthz := func(want int) {
			t.Helper()
			if code, body := admin(h.harness, "/healthz"); code != want {
				t.Errorf("/healthz: %d %s, want %d", code, body, want)
			}
		}
		release := h.fillPlaces(t)
		if n := h.places.inUse(); n != runtime.GOMAXPROCS(0) {
			t.Errorf("%d places in use", n)
		}
		time.Sleep(stuckTime - time.Second)
		healthz(http.StatusOK)
		time.Sleep(time.Second)
		healthz(http.StatusServiceUnavailable)
		release()
		healthz(http.StatusOK)
		defer h.fillPlaces(t)()
		healthz(http.StatusOK)
	})
}
