// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
)

// BenchmarkTransport is what each request of a node costs, beside the request.
func BenchmarkTransport(b *testing.B) {
	p := newBench(b, newSigningAPI(b))
	p.held(b, "pico-1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Transport(b.Context(), "pico-1"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTransportAllocatesNothing: the way of every request.
func TestTransportAllocatesNothing(t *testing.T) {
	p := newBench(t, newSigningAPI(t))
	p.held(t, "pico-1")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Transport(ctx, "pico-1") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkNode is the memory of a node with its certificate and one idle
// connection, the server's side of it included: B/node.
func BenchmarkNode(b *testing.B) {
	api := newSigningAPI(b)
	config := startTLS(b, api, func(http.ResponseWriter, *http.Request) {})
	p := newBench(b, api, func(c *Config) { c.Kubernetes = config })
	connect := func(i int) {
		rt, err := p.Transport(b.Context(), fmt.Sprint("pico-", i))
		must(b, err)
		ask(b, rt, config.Host)
	}
	connect(0)
	before := inUse()
	n := 0
	for b.Loop() {
		n++
		connect(n)
	}
	b.ReportMetric(float64(inUse()-before)/float64(n), "B/node")
	runtime.KeepAlive(p)
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
