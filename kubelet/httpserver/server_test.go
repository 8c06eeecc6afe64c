// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/picolet/picolet/kubelet/httpserver"
)

func TestConfigure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*httpserver.Config)
		want   error
	}{
		"as it is":             {func(c *httpserver.Config) {}, nil},
		"no routes":            {func(c *httpserver.Config) { c.Routes = nil }, httpserver.ErrRoutes},
		"most routes":          {func(c *httpserver.Config) { c.Routes = manyRoutes(httpserver.MaxRoutes) }, nil},
		"too many routes":      {func(c *httpserver.Config) { c.Routes = manyRoutes(httpserver.MaxRoutes + 1) }, httpserver.ErrRoutes},
		"no path":              {func(c *httpserver.Config) { c.Routes[1].Path = "" }, httpserver.ErrRoute},
		"relative path":        {func(c *httpserver.Config) { c.Routes[1].Path = "metrics" }, httpserver.ErrRoute},
		"no handler":           {func(c *httpserver.Config) { c.Routes[1].Get = nil }, httpserver.ErrRoute},
		"header injection":     {func(c *httpserver.Config) { c.Routes[1].ContentType = "a/b\r\nX: y" }, httpserver.ErrRoute},
		"space in front":       {func(c *httpserver.Config) { c.Routes[1].ContentType = " a/b" }, httpserver.ErrRoute},
		"long type":            {func(c *httpserver.Config) { c.Routes[1].ContentType = strings.Repeat("a", 101) }, httpserver.ErrRoute},
		"no memory":            {func(c *httpserver.Config) { c.Memory = nil }, httpserver.ErrMemory},
		"least memory":         {func(c *httpserver.Config) { c.Memory = c.Memory[:2*httpserver.MaxConns*httpserver.MinBuffer] }, nil},
		"too little memory":    {func(c *httpserver.Config) { c.Memory = c.Memory[:2*httpserver.MaxConns*httpserver.MinBuffer-1] }, httpserver.ErrMemory},
		"too much memory":      {func(c *httpserver.Config) { c.Memory = make([]byte, 2*httpserver.MaxConns<<20+1) }, httpserver.ErrMemory},
		"negative timeout":     {func(c *httpserver.Config) { c.RequestTimeout = -1 }, httpserver.ErrTimeout},
		"negative idle":        {func(c *httpserver.Config) { c.IdleTimeout = -1 }, httpserver.ErrTimeout},
		"negative rate":        {func(c *httpserver.Config) { c.Rate = -1 }, httpserver.ErrRate},
		"rate beyond reason":   {func(c *httpserver.Config) { c.Rate = 1_000_001 }, httpserver.ErrRate},
		"negative burst":       {func(c *httpserver.Config) { c.Burst = -1 }, httpserver.ErrRate},
		"line end in token":    {func(c *httpserver.Config) { c.Token = "secret\n" }, httpserver.ErrToken},
		"token of 256 bytes":   {func(c *httpserver.Config) { c.Token = strings.Repeat("a", 256) }, nil},
		"token of 257 bytes":   {func(c *httpserver.Config) { c.Token = strings.Repeat("a", 257) }, httpserver.ErrToken},
		"space inside a token": {func(c *httpserver.Config) { c.Token = "se cret" }, httpserver.ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := new(fixture)
			c := httpserver.Config{Routes: f.routes(), Memory: make([]byte, httpserver.MemorySize)}
			tc.change(&c)
			if err := f.Configure(c); !errors.Is(err, tc.want) {
				t.Errorf("Configure: %v, want %v", err, tc.want)
			}
		})
	}
}

func manyRoutes(n int) []httpserver.Route {
	routes := make([]httpserver.Route, n)
	for i := range routes {
		routes[i] = httpserver.Route{Path: "/" + itoa(i), Get: httpserver.HandlerFunc(serveHealth)}
	}
	return routes
}

// TestLastRouteIsCounted holds the bounds of the table of counters.
func TestLastRouteIsCounted(t *testing.T) {
	t.Parallel()
	const last = httpserver.MaxRoutes - 1
	f := newFixture(t, func(c *httpserver.Config) { c.Routes = manyRoutes(httpserver.MaxRoutes) })
	f.exchange(f.accept(t), request("GET", "/"+itoa(last)), whole, whole)
	if got := f.Count(last, 200); got != 1 {
		t.Errorf("Count(%d, 200) = %d, want 1", last, got)
	}
}

// TestSize holds what a Server costs beside the memory given to it.
func TestSize(t *testing.T) {
	t.Parallel()
	const most = 3 << 10
	if size := unsafe.Sizeof(httpserver.Server{}); size > most {
		t.Errorf("a Server has %d bytes, more than %d", size, most)
	}
}

// pull makes one exchange as a socket would, without keeping what was sent.
func (f *fixture) pull(conn int, request []byte) (sent int) {
	f.Receive(f.now, conn, request)
	for {
		p := f.Pending(conn)
		if len(p) == 0 {
			return sent
		}
		sent += len(p)
		f.Sent(f.now, conn, len(p))
	}
}

func TestExchangesDoNotAllocate(t *testing.T) {
	for name, input := range map[string]string{
		"scrape":       request("GET", "/metrics", "Authorization: Bearer s3cret"),
		"json":         request("GET", "/array", "Authorization: Bearer s3cret"),
		"health":       request("GET", "/healthz", "Authorization: Bearer s3cret"),
		"not found":    request("GET", "/nowhere", "Authorization: Bearer s3cret"),
		"unauthorized": request("GET", "/metrics"),
	} {
		f := newFixture(t, func(c *httpserver.Config) {
			unlimited(c)
			c.Token = "s3cret"
		})
		conn := f.accept(t)
		bytes := []byte(input)
		if sent := f.pull(conn, bytes); sent == 0 {
			t.Fatalf("%s: no response", name)
		}
		if n := testing.AllocsPerRun(100, func() { f.pull(conn, bytes) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestAcceptAndTickDoNotAllocate(t *testing.T) {
	f := newFixture(t, nil)
	n := testing.AllocsPerRun(100, func() {
		conn, _ := f.Accept(f.now)
		f.Receive(f.now, conn, []byte("GET"))
		f.now = f.Wake()
		f.Tick(f.now)
		f.pull(conn, nil)
		f.Closed(f.now, conn)
	})
	if n != 0 || f.Count(httpserver.Unrouted, 408) != 101 {
		t.Errorf("%v allocations, %d answers of 408", n, f.Count(httpserver.Unrouted, 408))
	}
}

func benchmarkGet(b *testing.B, target string) {
	f := newFixture(b, unlimited)
	conn := f.accept(b)
	input := []byte(request("GET", target))
	sent := f.pull(conn, input)
	b.ReportAllocs()
	b.SetBytes(int64(sent))
	for b.Loop() {
		f.now += 1000
		f.pull(conn, input)
	}
	b.ReportMetric(float64(sent), "wire-B/op")
}

func BenchmarkHealth(b *testing.B) { benchmarkGet(b, "/healthz") }
func BenchmarkScrape(b *testing.B) { benchmarkGet(b, "/metrics") }

func BenchmarkServerSize(b *testing.B) {
	for b.Loop() {
	}
	b.ReportMetric(float64(unsafe.Sizeof(httpserver.Server{})), "server-B")
	b.ReportMetric(httpserver.MemorySize, "buffers-B")
}
