// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// standingAPI keeps how one node stands. A status with Ready makes it Ready.
type standingAPI struct {
	mu     sync.Mutex
	ready  string // of the condition; empty: there is no Node; noReady: no condition
	whole  int    // statuses that were
	status int    // of the answer to looking at the Node; 0: 200
}

func (s *standingAPI) set(ready string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.whole = ready, 0
}

func (s *standingAPI) wholes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

func (s *standingAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	isNode := strings.HasPrefix(r.URL.Path, "/api/v1/nodes")
	switch {
	case r.Method == http.MethodGet && isNode && s.status != 0:
		w.WriteHeader(s.status)
	case isNode && r.Method != http.MethodGet && strings.Contains(string(body), `"Ready","status":"True"`):
		s.ready = "True"
		if strings.Contains(string(body), `"nodeInfo"`) {
			s.whole++
		}
	case r.Method == http.MethodGet && s.ready == "":
		w.WriteHeader(http.StatusNotFound)
	}
	conditions := `{"type":"Example","status":"Unknown"}`
	if s.ready != noReady {
		conditions += fmt.Sprintf(`,{"type":"Ready","status":%q}`, s.ready)
	}
	_, _ = fmt.Fprintf(w, `{"metadata":{"name":"pico-1","uid":"11111111-2222-3333-4444-555555555555","resourceVersion":"7"},"status":{"conditions":[%s]}}`, conditions)
}

// noReady stands for a list of conditions that another writer has replaced.
const noReady = "replaced"

// startStanding runs a gateway before such an API server.
func startStanding(t *testing.T, change ...func(*Config)) (*harness, *standingAPI) {
	t.Helper()
	s := &standingAPI{ready: "True"}
	api := newFakeAPI()
	api.node = func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		r.Body = io.NopCloser(strings.NewReader(api.requests[len(api.requests)-1].body))
		api.mu.Unlock()
		s.ServeHTTP(w, r)
	}
	return startPiped(t, api, change...), s
}

const (
	renewal  = `{"spec":{"renewTime":"2026-01-01T00:00:00.000000Z"}}`
	heartful = `{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:00:00Z"}]}}`
)

// TestReportIsAskedFor: by which answers a board learns that its node is Unknown,
// and how much looking that takes.
func TestReportIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ready, method, target, body string
		change                      func(*standingAPI)
		asked, looks                int // in five minutes of one request each 10 s
	}{
		"renewal":              {"Unknown", "PATCH", ownLease, renewal, nil, 8, 8},
		"renewal by PUT":       {"Unknown", "PUT", ownLease, `{"metadata":{"name":"pico-1"}}`, nil, 8, 8},
		"heartbeat":            {"Unknown", "PATCH", own + "/status", heartful, nil, 30, 0},
		"reading":              {"Unknown", "GET", own, "", nil, 0, 0},
		"labels":               {"Unknown", "PATCH", own, `{"metadata":{}}`, nil, 0, 0},
		"renewal, replaced":    {noReady, "PATCH", ownLease, renewal, nil, 8, 8},
		"heartbeat, replaced":  {noReady, "PATCH", own + "/status", heartful, nil, 30, 0},
		"renewal, Ready":       {"True", "PATCH", ownLease, renewal, nil, 0, 8},
		"renewal, not Ready":   {"False", "PATCH", ownLease, renewal, nil, 0, 8},
		"heartbeat, Ready":     {"True", "PATCH", own + "/status", heartful, nil, 0, 0},
		"renewal, no Node":     {"Unknown", "PATCH", ownLease, renewal, func(s *standingAPI) { s.status = 404 }, 0, 8},
		"renewal, not allowed": {"Unknown", "PATCH", ownLease, renewal, func(s *standingAPI) { s.status = 403 }, 0, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, s := startStanding(t)
				s.set(tt.ready)
				if tt.change != nil {
					tt.change(s)
				}
				contentType := mergePatchType
				if tt.method == http.MethodPut {
					contentType = jsonType
				}
				c := h.client("10.0.0.1:1")
				asked := 0
				for range 30 {
					r := ask(t, c, tt.method, tt.target, tt.body, "Content-Type", contentType, nodeHeader, "pico-1")
					if r.code/100 != 2 && tt.change == nil {
						t.Fatalf("%d %s", r.code, r.body)
					}
					if value := r.header.Get(reportHeader); value == "status" {
						asked++
					} else if value != "" {
						t.Errorf("header %q", value)
					}
					time.Sleep(10 * time.Second)
				}
				looks := 0
				for _, r := range h.api.asked() {
					if r.uri == own+"?resourceVersion=0" {
						looks++
					}
				}
				if asked != tt.asked || looks != tt.looks {
					t.Errorf("asked %d times, want %d; looked %d times, want %d", asked, tt.asked, looks, tt.looks)
				}
				c.CloseIdleConnections()
				endBubble(t, h)
			})
		})
	}
}

// TestLookingHoldsNothingUp: neither a renewal, nor what other boards ask for.
func TestLookingHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		maxInFlight int
		delay       time.Duration
		asked       string
		took        time.Duration
	}{
		"in time":  {0, lookPatience / 2, "status", lookPatience / 2},
		"too late": {0, time.Minute, "", lookPatience},
		"no room":  {2, 0, "", 0},
		"the rest": {4, 0, "status", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, s := startStanding(t, func(c *Config) { c.MaxInFlight = tt.maxInFlight })
				s.set("Unknown")
				start := time.Now()
				h.api.node = slowLooks(h.api.node, tt.delay)
				c := h.client("10.0.0.1:1")
				r := ask(t, c, "PATCH", ownLease, renewal, "Content-Type", mergePatchType)
				if r.code != http.StatusOK || r.header.Get(reportHeader) != tt.asked || time.Since(start) != tt.took {
					t.Errorf("%d, header %q, after %v; want %+v", r.code, r.header.Get(reportHeader), time.Since(start), tt)
				}
				c.CloseIdleConnections()
				endBubble(t, h)
			})
		})
	}
}

// slowLooks delays looking at a Node.
func slowLooks(next http.HandlerFunc, delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
			}
		}
		next(w, r)
	}
}

// TestUnknownNodeIsMended: the kubelet sends its status when it is asked for it, and
// the node is Ready within a minute; without the gateway's word it took up to an
// hour.
func TestUnknownNodeIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := startStanding(t)
		s.set("")
		h.api.put("pico-config", "1")
		stop := runBoard(t, h, &air{})
		time.Sleep(6 * time.Minute)
		for range 3 {
			s.set("Unknown")
			time.Sleep(time.Minute)
			if got := s.wholes(); got != 1 {
				t.Errorf("%d whole statuses in a minute of being Unknown", got)
			}
			s.set("True")
			time.Sleep(20 * time.Minute)
			if got := s.wholes(); got > 1 { // one in an hour
				t.Errorf("%d whole statuses while all was well", got)
			}
		}
		stop()
		endBubble(t, h)
	})
}

// BenchmarkIsUnknown is the cost of looking at an answer of the API server's.
func BenchmarkIsUnknown(b *testing.B) {
	a := &answer{code: http.StatusOK, body: []byte(`{"kind":"Node","metadata":{"name":"pico-1","managedFields":[{"fields":"` + strings.Repeat("f:", 1200) + `"}]},"status":{"conditions":[` +
		strings.Repeat(`{"type":"DiskPressure","status":"False","lastHeartbeatTime":"2026-01-01T00:00:00Z","reason":"KubeletHasNoDiskPressure"},`, 4) + `{"type":"Ready","status":"Unknown"}]}}`)}
	b.SetBytes(int64(len(a.body)))
	b.ReportAllocs()
	for b.Loop() {
		if !isUnknown(a) {
			b.Fatal("not found")
		}
	}
}
