// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
)

// BenchmarkIdleNode reports what a registered node costs that has nothing to
// do: its kubelet, a virtual board, two streams with both of their ends, and
// the kubelet port.
func BenchmarkIdleNode(b *testing.B) {
	const nodes = 200
	for b.Loop() {
		api := startFakeAPI(b)
		before, goroutines := heap(), runtime.NumGoroutine()
		stops := make([]func(), 0, nodes)
		for i := range nodes {
			stops = append(stops, startVirtual(b, fmt.Sprintf("pico-%d", i), api.addr))
		}
		for api.watches.Load() < nodes {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(float64(heap()-before)/nodes, "B/node")
		// One goroutine for each end of a stream that the fake holds.
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/nodes-2, "goroutines/node")
		for _, stop := range stops {
			stop()
		}
	}
}

// heap is the live heap and the stacks, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func startVirtual(tb testing.TB, name, server string) (stop func()) {
	tb.Helper()
	hardware, err := virtual.New(virtual.Options{ID: name})
	if err != nil {
		tb.Fatal(err)
	}
	k := new(kubelet.Kubelet)
	config := kubelet.Config{NodeName: name, Host: server, Version: "v1.37.2", Board: hardware.Board(), Seed: 1}
	if err := k.Configure(config); err != nil {
		tb.Fatal(err)
	}
	return startNode(tb, fleet.Options{Dialer: link.TCP(server), Listener: listenTCP(tb)}, k)
}

// fakeAPI is an API server that knows nothing and takes everything.
type fakeAPI struct {
	addr    string
	watches atomic.Int64 // begun
}

func startFakeAPI(tb testing.TB) *fakeAPI {
	l := listenTCP(tb)
	api := &fakeAPI{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go api.serve(c)
		}
	}()
	return api
}

func (api *fakeAPI) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReaderSize(c, 16)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Query().Get("watch") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			api.watches.Add(1)
			continue
		}
		code, body := answer(r)
		_, _ = fmt.Fprintf(c, "HTTP/1.1 %d x\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s", code, len(body), body)
	}
}

func answer(r *http.Request) (code int, body string) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/configmaps"):
		return 200, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}`
	case r.Method == http.MethodGet:
		return 404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	case r.Method == http.MethodPost:
		return 201, `{"metadata":{"uid":"1","resourceVersion":"1"}}`
	}
	return 200, `{"metadata":{"uid":"1","resourceVersion":"1"}}`
}
