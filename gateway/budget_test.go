// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/time/rate"

	"github.com/picolet/picolet/link/noise/session"
)

// unlimited lifts the rates of all boards that ask from now on.
func (h *harness) unlimited() {
	h.budgets.mu.Lock()
	defer h.budgets.mu.Unlock()
	for i := range h.budgets.limits {
		h.budgets.limits[i] = limit{rate: rate.Inf}
	}
}

const eventsPath = "/api/v1/namespaces/default/events"

// eventOf is an Event about pico-1 of some size.
func eventOf(size int) string {
	event := `{"metadata":{"name":"pico-1.1"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal","reason":"Full","message":"%s"}`
	return fmt.Sprintf(event, strings.Repeat("x", max(size-len(event)+2, 0)))
}

// flood posts Events over five streams of a link until the time is over or the link
// has ended, and returns how often it got each code.
func flood(t *testing.T, s *session.Session, event func() string, d time.Duration) map[int]int {
	t.Helper()
	var mu sync.Mutex
	codes := make(map[int]int)
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for range 5 {
		running.Go(func() {
			c := linkClient(s)
			defer c.CloseIdleConnections()
			for time.Now().Before(end) && s.Err() == nil {
				resp, err := c.Post("http://gateway"+eventsPath, jsonType, strings.NewReader(event()))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				mu.Lock()
				codes[resp.StatusCode]++
				mu.Unlock()
				if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	running.Wait()
	return codes
}

// TestEventFlood: of a board that sends Events as fast as it can, those within its
// budget pass; it is refused, and cut off when it goes on.
func TestEventFlood(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		codes := flood(t, s, func() string { return eventOf(1 << 10) }, 4*time.Second)
		if passed := codes[http.StatusOK]; passed == 0 || passed > 25+4 {
			t.Errorf("%d Events passed, %d were refused", passed, codes[http.StatusTooManyRequests])
		}
		if codes[http.StatusTooManyRequests] == 0 {
			t.Errorf("codes %v", codes)
		}
		<-s.Done()
		synctest.Wait()
		if n := testutil.ToFloat64(h.metrics.linkEnds.WithLabelValues("budget")); n != 1 {
			t.Errorf("%v links ended for their budget", n)
		}
		if n := testutil.ToFloat64(h.metrics.barred); n != 1 {
			t.Errorf("%v boards barred", n)
		}
		if n := strings.Count(h.log.String(), "Barred a board"); n != 1 {
			t.Errorf("%d lines:\n%s", n, h.log)
		}
		if _, err := h.open(1); err == nil || !strings.Contains(err.Error(), "beyond its budget") {
			t.Errorf("a barred board reconnects: %v", err)
		}
		time.Sleep(barTime)
		_ = mustOpen(t, h, 1).Close()
	})
}

// TestLargeEvents: a body over the limit of its operation does not get to the API
// server.
func TestLargeEvents(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		for size, code := range map[int]int{maxEvent: 200, maxEvent + 1: 413, 60 << 10: 413} {
			if r := ask(t, linkClient(s), "POST", eventsPath, eventOf(size)); r.code != code {
				t.Errorf("Event of %d bytes: %d %s", size, r.code, r.body)
			}
		}
		events := 0
		for _, r := range h.api.asked() {
			if r.uri == eventsPath {
				events++
			}
		}
		if events != 1 {
			t.Errorf("%d Events got to the API server", events)
		}
		_ = s.Close()
	})
}

// TestReconnectDoesNotRefillBudget over links and on plain HTTP.
func TestReconnectDoesNotRefillBudget(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *linkHarness) (c *http.Client, end func()){
		"link": func(t *testing.T, h *linkHarness) (*http.Client, func()) {
			s := mustOpen(t, h, 1)
			return linkClient(s), func() { _ = s.Close(); synctest.Wait() }
		},
		"plain HTTP": func(_ *testing.T, h *linkHarness) (*http.Client, func()) {
			c := h.client("10.0.0.9:1")
			return c, c.CloseIdleConnections
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				post := func() int {
					c, end := connect(t, h)
					defer end()
					return ask(t, c, "POST", eventsPath, eventOf(0)).code
				}
				for i := range limits[eventRate].burst {
					if code := post(); code != http.StatusOK {
						t.Fatalf("Event %d: %d", i, code)
					}
				}
				if code := post(); code != http.StatusTooManyRequests {
					t.Errorf("one more: %d", code)
				}
				time.Sleep(budgetMemory)
				if code := post(); code != http.StatusOK {
					t.Errorf("after a minute: %d", code)
				}
			})
		})
	}
}

// TestBoardsStartTogether: 200 boards that start at once are not refused for a budget,
// although they share an address.
func TestBoardsStartTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		var running sync.WaitGroup
		for i := range 200 {
			node := fmt.Sprintf("pico-%d", i)
			running.Go(func() { h.boot(t, node) })
		}
		running.Wait()
		for _, name := range itemNames {
			if n := testutil.ToFloat64(h.metrics.overBudget.WithLabelValues(name)); n != 0 {
				t.Errorf("%v requests refused by the budget of %s", n, name)
			}
		}
		endBubble(t, h)
	})
}

// boot makes the requests of a kubelet that starts, one after the other, and watches
// four ConfigMaps beside.
func (h *harness) boot(t *testing.T, node string) {
	from := "10.0.0.1:" + node
	c := h.client(from)
	defer c.CloseIdleConnections()
	status := `{"status":{"nodeInfo":{"osImage":"` + strings.Repeat("x", 3<<10) + `"}}}`
	path := "/api/v1/nodes/" + node
	do := func(method, target, body, contentType string) {
		r := ask(t, c, method, target, body, "Content-Type", contentType, nodeHeader, node, boardHeader, node)
		if r.code == http.StatusTooManyRequests {
			t.Errorf("%s: %s %s: %s", node, method, target, r.body)
		}
	}
	do("GET", path, "", "")
	do("POST", "/api/v1/nodes", `{"metadata":{"name":"`+node+`"}}`, jsonType)
	for range 9 {
		do("PATCH", path, `{"metadata":{}}`, strategicPatchType)
	}
	do("PATCH", path+"/status", status, strategicPatchType)
	do("GET", leaseOf(node), "", "")
	do("PATCH", leaseOf(node), `{"spec":{}}`, mergePatchType)
	for range 8 {
		do("POST", eventsPath, strings.ReplaceAll(eventOf(600), "pico-1", node), jsonType)
	}
	for range 4 {
		do("GET", listMap, "", "")
	}
}

// TestLeasesComeFirst: boards that use up all that they may use at a slow API server
// leave the others their Leases.
func TestLeasesComeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const hostile = 20
		api := newFakeAPI()
		api.node = func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, "{}")
		}
		h := startPiped(t, api, func(c *Config) { c.MaxInFlight = 8 })
		h.unlimited()
		var over atomic.Bool
		var running sync.WaitGroup
		for i := range hostile {
			node := "bad-" + strconv.Itoa(i)
			for j := range maxPlaces + maxLeasePlaces {
				running.Go(func() { h.loop(t, node, j == 0, &over) })
			}
		}
		c := h.client("10.0.0.1:1")
		for range 4 {
			time.Sleep(10 * time.Second)
			begin := time.Now()
			r := ask(t, c, "PATCH", ownLease, `{"spec":{}}`, "Content-Type", mergePatchType, nodeHeader, "pico-1")
			if took := time.Since(begin); r.code != http.StatusOK || took > 10*time.Second {
				t.Fatalf("renewal: %d after %v: %s", r.code, took, r.body)
			}
		}
		over.Store(true)
		running.Wait()
		endBubble(t, h)
	})
}

// loop asks for one thing as fast as it is answered.
func (h *harness) loop(t *testing.T, node string, renews bool, over *atomic.Bool) {
	c := h.client("10.0.0.2:" + node)
	defer c.CloseIdleConnections()
	for !over.Load() {
		var r reply
		if renews {
			r = ask(t, c, "PATCH", leaseOf(node), `{"spec":{}}`, "Content-Type", mergePatchType, nodeHeader, node, boardHeader, node)
		} else {
			r = ask(t, c, "GET", "/api/v1/nodes/"+node, "", nodeHeader, node, boardHeader, node)
		}
		if r.code == http.StatusTooManyRequests {
			time.Sleep(time.Second)
		}
	}
}

// TestShareOfPlaces: one node has two requests under way, and one for its Lease.
func TestShareOfPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.node = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		h := startPiped(t, api)
		var codes sync.Map
		var running sync.WaitGroup
		for i, target := range []string{own, own, own, ownLease, ownLease} {
			running.Go(func() { codes.Store(i, h.get(t, "pico-1", target).code) })
			synctest.Wait()
		}
		for i, want := range []any{nil, nil, 429, nil, 429} {
			if code, _ := codes.Load(i); code != want {
				t.Errorf("request %d: %v, want %v", i, code, want)
			}
		}
		running.Wait()
		if r := h.get(t, "pico-1", oneMap); r.code != http.StatusNotFound {
			t.Errorf("after that: %d %s", r.code, r.body)
		}
		endBubble(t, h)
	})
}

// TestBodyMemoryIsBounded, but not for Leases.
func TestBodyMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		h.bodies.Store(maxBodyMemory)
		c := h.client("10.0.0.1:1")
		if r := ask(t, c, "POST", eventsPath, eventOf(0)); r.code != 429 || r.header.Get("Retry-After") != "1" {
			t.Errorf("an Event: %d %s", r.code, r.body)
		}
		if r := ask(t, c, "PATCH", ownLease, `{"spec":{}}`, "Content-Type", mergePatchType); r.code != 200 {
			t.Errorf("a Lease: %d %s", r.code, r.body)
		}
		h.bodies.Store(0)
		if r := ask(t, c, "POST", eventsPath, eventOf(0)); r.code != 200 || h.bodies.Load() != 0 {
			t.Errorf("later: %d %s, %d bytes held", r.code, r.body, h.bodies.Load())
		}
		endBubble(t, h)
	})
}

// TestBudgetsAreForgotten when they are full again, and never more than so many.
func TestBudgetsAreForgotten(t *testing.T) {
	t.Parallel()
	for what, l := range limits {
		if full := time.Duration(float64(l.burst) / float64(l.rate) * float64(time.Second)); full > budgetMemory {
			t.Errorf("%s: full after %v", itemNames[what], full)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newBudgets(100)
		first := s.of(payer{node: "first"})
		for i := range 1000 {
			s.of(payer{node: "first"})
			s.of(payer{node: strconv.Itoa(i)})
		}
		if len(s.entries) != 100 || s.byUse.Len() != 100 || s.of(payer{node: "first"}) != first {
			t.Errorf("%d budgets", len(s.entries))
		}
		time.Sleep(budgetMemory)
		if s.of(payer{node: "late"}); len(s.entries) != 1 {
			t.Errorf("%d budgets after a minute", len(s.entries))
		}
	})
}

// TestWarningsAreBounded: what a board does wrong 500 times is told a few times, and
// how often it was.
func TestWarningsAreBounded(t *testing.T) {
	for name, target := range map[string]string{"refused by the API server": own, "refused by the gateway": "/api/v1/secrets"} {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				h.unlimited()
				h.api.node = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
				s := mustOpen(t, h, 1)
				patch := func() {
					c := linkClient(s)
					defer c.CloseIdleConnections()
					if r := ask(t, c, "PATCH", target, `{"metadata":{"labels":{"a":"b"}}}`, "Content-Type", mergePatchType); r.code != http.StatusForbidden {
						t.Fatalf("%d %s", r.code, r.body)
					}
				}
				for range 500 {
					patch()
				}
				if n := strings.Count(h.log.String(), "level=WARN"); n == 0 || n > 10 {
					t.Errorf("%d warnings", n)
				}
				time.Sleep(time.Minute)
				patch()
				if !strings.Contains(h.log.String(), "suppressed=495") {
					t.Errorf("no count of what was suppressed:\n%s", h.log)
				}
				_ = s.Close()
			})
		})
	}
}
