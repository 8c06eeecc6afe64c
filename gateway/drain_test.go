// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	hardware "github.com/picolet/picolet/board"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

// moving is a site whose boards move from one gateway to the next.
type moving struct {
	t       *testing.T
	listens atomic.Pointer[pipeListener] // of the gateway that takes links; nil: none
	keys    []noise.Key

	mu      sync.Mutex
	dials   []time.Time
	renewed map[string][]time.Time // leases, by node
	asked   []time.Time            // requests of boards
	running sync.WaitGroup
}

// Dial implements link.Dialer.
func (m *moving) Dial(context.Context) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, time.Now())
	m.mu.Unlock()
	if ln := m.listens.Load(); ln != nil {
		client, server := net.Pipe()
		select {
		case ln.conns <- addressedConn{server, pipeAddr("10.0.0.1:7")}:
			return client, nil
		case <-ln.closed:
		}
	}
	return nil, linktest.ErrRefused
}

// answer is the API server's, to nodes.
func (m *moving) answer(w http.ResponseWriter, r *http.Request) {
	node := strings.TrimPrefix(r.Header.Get("Impersonate-User"), nodeUserPrefix)
	m.mu.Lock()
	m.asked = append(m.asked, time.Now())
	if strings.HasSuffix(r.URL.Path, "/leases/"+node) && r.Method == http.MethodPatch {
		m.renewed[node] = append(m.renewed[node], time.Now())
	}
	m.mu.Unlock()
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = fmt.Fprintf(w, `{"metadata":{"name":%q,"uid":"1","resourceVersion":"1"}}`, node)
}

type noSensors struct{}

func (noSensors) Read(time.Duration, *hardware.Readings) {}

// boot runs board number i until ctx ends.
func (m *moving) boot(ctx context.Context, i int) {
	name := fmt.Sprintf("pico-%d", i)
	n, err := fleet.NewNode(fleet.Options{Name: name, Dialer: m, Log: slog.New(slog.DiscardHandler), Boot: func(int) (fleet.Kubelet, error) {
		k := new(kubelet.Kubelet)
		err := k.Configure(kubelet.Config{
			NodeName: name, Host: "gateway", Version: "v1.37.2", Seed: uint64(i + 1), ConfigMaps: []kubelet.ObjectName{},
			Board: hardware.Board{Facts: hardware.Facts{Model: "rp2040", ID: name}, Sensors: noSensors{}},
		})
		if err != nil {
			return nil, err
		}
		return linked.New(linked.Config{
			Kubelet: k, Key: m.keys[i], GatewayKey: gatewayKey().Public, Random: rand.Reader, Memory: make([]byte, noise.BufferSize),
			Hello: noise.Hello{BoardID: name, NodeName: name, Version: "v1"},
		})
	}})
	if err != nil {
		m.t.Error(err)
		return
	}
	m.running.Go(func() { _ = n.Run(ctx) })
}

// gateway runs a gateway that takes the boards' links, until stop is called.
func (m *moving) gateway() (h *harness, stop func(drain time.Duration)) {
	api := newFakeAPI()
	api.node = m.answer
	h = startPiped(m.t, api)
	ln := newPipeListener()
	m.listens.Store(ln)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: everybody{}}) }()
	return h, func(drain time.Duration) {
		m.listens.CompareAndSwap(ln, nil)
		h.Drain(context.Background(), drain)
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
		endBubble(m.t, h)
	}
}

func (m *moving) until(limit time.Duration, what string, ok func() bool) {
	m.t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > limit {
			m.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// most is the most of times since begin that are in one second.
func most(times []time.Time, begin time.Time) (n int) {
	i := 0
	for j := range times {
		for times[j].Sub(times[i]) >= time.Second {
			i++
		}
		if !times[i].Before(begin) {
			n = max(n, j-i+1)
		}
	}
	return n
}

// longest is the longest time without a renewal of one node's lease.
func longest(times []time.Time) (d time.Duration) {
	for i := 1; i < len(times); i++ {
		d = max(d, times[i].Sub(times[i-1]))
	}
	return d
}

const herd = 200

// inHerd runs do with so many boards whose nodes are registered through a first gateway.
func inHerd(t *testing.T, do func(m *moving, first *harness, stop func(drain time.Duration))) {
	t.Helper()
	t.Parallel()
	m := &moving{renewed: make(map[string][]time.Time)}
	linkKeys()
	for range herd {
		m.keys = append(m.keys, newTestKey(t))
	}
	synctest.Test(t, func(t *testing.T) {
		m.t = t
		ctx, cancel := context.WithCancel(context.Background())
		first, stop := m.gateway()
		for i := range herd { // not all at once, or all their leases were due at the same time
			m.boot(ctx, i)
			time.Sleep(10 * time.Second / herd)
		}
		defer m.running.Wait()
		defer cancel()
		m.until(2*time.Minute, "all nodes are registered", m.allRenewed(time.Time{}))
		do(m, first, stop)
	})
}

func (m *moving) allRenewed(since time.Time) func() bool {
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		n := 0
		for _, times := range m.renewed {
			if times[len(times)-1].After(since) {
				n++
			}
		}
		return n == herd
	}
}

// check checks how a restart was that began at begin: how many dials there were in one
// second, and requests, of which lease renewals are one each ten seconds and board.
func (m *moving) check(begin time.Time, dials, requests int) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.asked, time.Time.Compare)
	d, r := most(m.dials, begin), most(m.asked, begin)
	m.t.Logf("%d boards: at most %d dials and %d requests in one second", herd, d, r)
	if d > dials || r > requests {
		m.t.Errorf("want %d dials and %d requests at most", dials, requests)
	}
	for node, times := range m.renewed {
		if d := longest(times); d >= 40*time.Second {
			m.t.Errorf("%s: the lease was not renewed for %v", node, d)
		}
	}
}

// A gateway that drains ends its links at a rate, takes no more boards and is not ready;
// the boards move to the next one at that rate, and their nodes stay Ready.
func TestDrain(t *testing.T) {
	inHerd(t, func(m *moving, old *harness, stop func(time.Duration)) {
		_, stopNext := m.gateway()
		defer stopNext(0)
		begin, ended := time.Now(), make(chan struct{})
		go func() { defer close(ended); stop(20 * time.Second) }()
		synctest.Wait()
		if code, body := admin(old, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "stops") {
			m.t.Errorf("/readyz: %d %s", code, body)
		}
		last, steps := old.links.count(), 0
		for range 25 {
			time.Sleep(time.Second)
			n := old.links.count()
			steps = max(steps, last-n)
			last = n
		}
		if last != 0 || steps > herd/10 {
			m.t.Errorf("%d links are left after 25 s, %d ended in one second", last, steps)
		}
		<-ended
		m.until(time.Minute, "all leases are renewed", m.allRenewed(time.Now()))
		m.check(begin, herd/8, herd*3/4)
	})
}

// A gateway that restarts at once asks its boards to come back one after the other.
func TestRestartWithoutDrain(t *testing.T) {
	inHerd(t, func(m *moving, _ *harness, stop func(time.Duration)) {
		begin := time.Now()
		stop(0)
		if d := time.Since(begin); d > 2*time.Second {
			m.t.Errorf("stopped after %v", d)
		}
		_, stopNext := m.gateway()
		defer stopNext(0)
		m.until(time.Minute, "all leases are renewed", m.allRenewed(time.Now()))
		m.check(begin, herd/4, herd*3/4)
	})
}

// With few boards a drain is short.
func TestDrainOfFewBoards(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		a, b := mustOpen(t, h, 1), mustOpen(t, h, 2)
		begin := time.Now()
		h.Drain(t.Context(), time.Minute)
		if d := time.Since(begin); d > time.Second {
			t.Errorf("took %v", d)
		}
		for _, s := range []io.Closer{a, b} {
			_ = s.Close()
		}
		if _, err := h.links.Accept(); err == nil {
			t.Error("the listener is open")
		}
	})
}
