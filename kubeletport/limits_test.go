// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// open opens connections that say nothing, and tells how many are held.
func open(t *testing.T, h *harness, n int) (held int) {
	t.Helper()
	for range n {
		c, err := h.dial(t.Context())
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	synctest.Wait()
	return int(h.connections.Load())
}

func TestLimitsOfConnections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   int
	}{
		{"of one client", func(c *Config) { c.MaxConnectionsPerClient = 3 }, 3},
		{"of one node", func(c *Config) { c.MaxConnectionsPerNode = 4 }, 4},
		{"of all", func(c *Config) { c.MaxConnections = 5 }, 5},
		{"none", nil, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := startPiped(t, startBoard(t, okBoard), tt.change)
				if held := open(t, h, 10); held != tt.want {
					t.Errorf("%d connections held, want %d", held, tt.want)
				}
				if refused := testutil.ToFloat64(h.metrics.refusedConnections); refused != float64(10-tt.want) {
					t.Errorf("%v refused", refused)
				}
				// They are ended for saying nothing, and others have their place.
				time.Sleep(headTimeout + time.Second)
				if held := open(t, h, 1); held != 1 {
					t.Errorf("%d connections held after %v", held, headTimeout)
				}
			})
		})
	}
}

// Whoever is slow is cut off: with the handshake, a head, a body, or between
// requests.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first, trickle string
		limit          time.Duration
	}{
		"slow head":  {"GET /", "x", headTimeout},
		"slow body":  {"POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{", " ", headTimeout},
		"slow junk":  {"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{", " ", headTimeout},
		"idle after": {get("/healthz"), "", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := startPiped(t, startBoard(t, okBoard), nil)
				c := secureConn(t, h, h.admin(t))
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_, err := io.WriteString(c, tt.first)
				must(t, err)
				start := time.Now()
				for h.connections.Load() > 0 && time.Since(start) < time.Hour {
					_, _ = io.WriteString(c, tt.trickle)
					time.Sleep(time.Second)
				}
				if took := time.Since(start); took > tt.limit+10*time.Second {
					t.Errorf("cut off after %v, want %v", took, tt.limit)
				}
			})
		})
	}
}

// Remove ends everything that is open on a node's port: requests that wait for
// the board, logs that are followed, connections that say nothing.
func TestRemoveEndsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startLogBoard(t, "+1.000s INFO msg=a")
		h := startPiped(t, b, nil)
		open(t, h, 2)
		f := startFollower(t, h, "")
		f.expect(t, "INFO msg=a")
		h.Remove(node)
		if _, err := f.lines.ReadString('\n'); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the log that was followed ends with %v", err)
		}
		synctest.Wait()
		if n := h.connections.Load(); n != 0 || h.count() != 0 {
			t.Errorf("%d connections, %d nodes are left", n, h.count())
		}
		if _, err := h.dial(t.Context()); err == nil {
			t.Error("the port is still open")
		}
	})
}

// The end of Run leaves nothing behind. This test runs alone, for it counts
// goroutines.
func TestRunLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		h := newHarness(t, startLogBoard(t, "+1.000s INFO msg=a"), nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Run(ctx)
		}()
		var err error
		h.port, err = h.Add(Node{Name: node})
		must(t, err)
		h.dial = dialer(h)
		eventually(t, "the client CA is known", h.ca.synced.Load)
		client := h.client(t, h.admin(t))
		resp, err := client.Get("https://127.0.0.1/containerLogs" + podPath + "?follow=true")
		must(t, err)
		defer func() { _ = resp.Body.Close() }()
		idle, err := net.Dial("tcp", h.addr())
		must(t, err)
		defer func() { _ = idle.Close() }()
		cancel()
		<-ended
		if n := h.connections.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if _, err := h.Add(Node{Name: node}); !errors.Is(err, ErrClosed) {
			t.Errorf("Add after the end: %v", err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the log that was followed ended in order")
		}
		client.CloseIdleConnections()
	}()
	// The fake board's two goroutines are there until the test's cleanup.
	eventually(t, "goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	h := startServer(t, startBoard(t, okBoard), func(c *Config) { c.Metrics = registry })
	client := h.client(t, h.admin(t))
	for _, path := range []string{"/healthz", "/healthz/ping", "/metrics", "/nowhere/1", "/nowhere/2"} {
		ask(t, client, "GET", path, "")
	}
	ask(t, h.client(t, nil), "GET", "/healthz", "")
	_, _, code := h.exec(t, executors["WebSocket v5"], []string{"help"}, false)
	ask(t, client, "GET", "/exec"+podPath+"?command=help", "", "Upgrade", "websocket", "Connection", "Upgrade")
	if code != 0 {
		t.Fatalf("help: exit code %d", code)
	}
	streams := h.metrics.requests.WithLabelValues("exec", "101")
	eventually(t, "the command is counted", func() bool { return testutil.ToFloat64(streams) == 1 })
	want := `# HELP picolet_kubeletport_nodes Nodes whose kubelet port is served.
# TYPE picolet_kubeletport_nodes gauge
picolet_kubeletport_nodes 1
# HELP picolet_kubeletport_requests_total Requests to kubelet ports answered, by route and HTTP status code.
# TYPE picolet_kubeletport_requests_total counter
picolet_kubeletport_requests_total{code="101",route="exec"} 1
picolet_kubeletport_requests_total{code="200",route="healthz"} 2
picolet_kubeletport_requests_total{code="200",route="metrics"} 1
picolet_kubeletport_requests_total{code="400",route="exec"} 1
picolet_kubeletport_requests_total{code="401",route="none"} 1
picolet_kubeletport_requests_total{code="404",route="none"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "picolet_kubeletport_nodes", "picolet_kubeletport_requests_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	if _, err := New(Config{Boards: boards{}, Kubernetes: h.cluster, Addresses: h.config.Addresses, Metrics: registry}); err == nil {
		t.Error("metrics were registered twice")
	}
}

// Refusals are logged, the first of a connection as a warning, and no token is.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	client := h.client(t, h.admin(t))
	ask(t, client, "GET", "/nowhere", "")
	ask(t, client, "GET", "/nowhere", "")
	ask(t, h.client(t, nil), "GET", "/healthz", "", "Authorization", "Bearer s3cret")
	log := h.log.String()
	for text, want := range map[string]int{
		`level=WARN msg="Refused a request to a kubelet port" node=pico-1`:  2,
		`level=DEBUG msg="Refused a request to a kubelet port" node=pico-1`: 1,
		"user=kube-apiserver-kubelet-client code=404":                       2,
		"s3cret": 0,
	} {
		if n := strings.Count(log, text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, log)
		}
	}
}
