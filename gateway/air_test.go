// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
)

// maxAir is what a registered board with nothing to tell may send and receive
// in a minute, in bytes of Ethernet frames: a tenth of what a firmware takes
// that asks for its whole Node and ConfigMap time and again.
const maxAir = 3970

// Sizes of Ethernet frames, in bytes.
const (
	frameHead   = 14 + 20 + 20 // Ethernet, IPv4, TCP
	segmentSize = 1460
)

// air counts the frames of all connections of a board. Answers acknowledge
// requests; an answer is acknowledged for each two of its segments.
type air struct {
	mu      sync.Mutex
	out, in int
}

func (a *air) count(out, in int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out += out
	a.in += in
}

func (a *air) take() (out, in int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out, in = a.out, a.in
	a.out, a.in = 0, 0
	return out, in
}

func frames(n int) (count, bytes int) {
	count = (n + segmentSize - 1) / segmentSize
	return count, n + count*frameHead
}

// airConn is a board's end of a connection. Probes of keep-alive, which pipes
// have not, are counted as TCP sends them after each time of silence.
type airConn struct {
	net.Conn
	air   *air
	mu    sync.Mutex
	quiet time.Time // since when
}

func (c *airConn) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	probes := int(time.Since(c.quiet) / keepAlive.Idle)
	c.air.count(probes*frameHead, probes*frameHead)
	c.quiet = time.Now()
}

func (c *airConn) Write(p []byte) (int, error) {
	c.touch()
	_, bytes := frames(len(p))
	c.air.count(bytes, 0)
	return c.Conn.Write(p)
}

func (c *airConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.touch()
		count, bytes := frames(n)
		c.air.count((count+1)/2*frameHead, bytes)
	}
	return n, err
}

// airDialer dials the gateway over pipes.
type airDialer struct {
	pipes *pipeListener
	air   *air
}

func (d airDialer) Dial(context.Context) (net.Conn, error) {
	return &airConn{Conn: d.pipes.dial("10.0.0.1:1"), air: d.air, quiet: time.Now()}, nil
}

// nodeAPI answers what a kubelet asks about its own objects, in the size of a
// real API server's answers.
func nodeAPI() http.HandlerFunc {
	var version atomic.Int64
	var leased atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
		object := fmt.Sprintf(`{"metadata":{"name":"pico-1","uid":"11111111-2222-3333-4444-555555555555","resourceVersion":"%d",`+
			`"managedFields":[{"manager":"picolet-gateway","fields":%q}]}}`, 1000+version.Add(1), strings.Repeat("f:", 400))
		switch {
		case r.Method == http.MethodGet && (strings.Contains(r.URL.Path, "/nodes/") || !leased.Swap(true)):
			w.WriteHeader(http.StatusNotFound)
			object = `{"kind":"Status","code":404}`
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, object)
	}
}

// runBoard runs a virtual board in the bubble, whose bytes air counts, until stop.
func runBoard(t testing.TB, h *harness, a *air) (stop func()) {
	t.Helper()
	hw, err := virtual.New(virtual.Options{ID: "pico-1", Seed: 1, Boots: 1})
	if err != nil {
		t.Fatal(err)
	}
	n, err := fleet.NewNode(fleet.Options{
		Name: "pico-1", Dialer: airDialer{h.pipes, a},
		Boot: func(int) (fleet.Kubelet, error) {
			k := new(kubelet.Kubelet)
			return k, k.Configure(kubelet.Config{NodeName: "pico-1", Host: "10.0.0.254:6080", Version: "v1.37.2", Board: hw.Board(), Seed: 1})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// steadyMinute is what an idle board sends and receives in a minute, on
// average of half an hour.
func steadyMinute(t testing.TB, h *harness) (out, in int) {
	t.Helper()
	air := &air{}
	defer runBoard(t, h, air)()
	time.Sleep(10 * time.Minute)
	air.take()
	const minutes = 30
	time.Sleep(minutes * time.Minute)
	out, in = air.take()
	return out / minutes, in / minutes
}

// TestBytesOnTheAir: a board with nothing to tell leaves the air alone.
func TestBytesOnTheAir(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.node = nodeAPI()
		h := startPiped(t, api)
		api.put("pico-config", "1")
		out, in := steadyMinute(t, h)
		t.Logf("%d B out, %d B in a minute", out, in)
		if out+in > maxAir {
			t.Errorf("%d B a minute, want at most %d", out+in, maxAir)
		}
		renewals := 0
		for _, r := range api.asked() {
			if r.method == http.MethodPatch && strings.Contains(r.uri, "/leases/") {
				renewals++
			}
		}
		if renewals < 230 || renewals > 250 { // 40 minutes, each 10 s
			t.Errorf("the lease was renewed %d times", renewals)
		}
		endBubble(t, h)
	})
}
