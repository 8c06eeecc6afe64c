// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// instantAPI answers at once and allocates little, so that what is measured is
// the gateway.
type instantAPI struct{}

func (instantAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {jsonType}}, Body: http.NoBody, Request: r}, nil
}

func benchGateway(b *testing.B) *Gateway {
	b.Helper()
	g, err := New(Config{Kubernetes: &rest.Config{Host: "https://api.test", Transport: instantAPI{}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	g.rights.set(nil)
	(&harness{Gateway: g}).unlimited()
	return g
}

// BenchmarkForward is a lease renewal through the gateway, without networks.
func BenchmarkForward(b *testing.B) {
	g := benchGateway(b)
	near, _ := net.Pipe()
	conn := &boardConn{Conn: addressedConn{near, pipeAddr("10.0.0.1:1")}, gateway: g}
	body := `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"pico-1","namespace":"kube-node-lease"},"spec":{"holderIdentity":"pico-1","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.000000Z"}}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("PUT", ownLease, strings.NewReader(body))
		r.Header.Set("Content-Type", jsonType)
		w := &discardWriter{header: http.Header{}}
		g.serveBoard(w, r.WithContext(withConn(context.Background(), conn)))
		if w.code != http.StatusOK {
			b.Fatalf("answer %d", w.code)
		}
	}
}

// BenchmarkParse is what is asked of each request before anything is sent.
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := parseCall("PUT", ownLease); refused != nil {
			b.Fatal(refused)
		}
	}
}

type discardWriter struct {
	header http.Header
	code   int
	size   int
}

func (w *discardWriter) Header() http.Header  { return w.header }
func (w *discardWriter) WriteHeader(code int) { w.code = code }
func (w *discardWriter) Flush()               {}
func (w *discardWriter) Write(p []byte) (int, error) {
	w.size += len(p)
	return len(p), nil
}

// BenchmarkFanOut is one change of a ConfigMap of 800 B, encoded and written to
// 1000 boards; the figures are per board.
func BenchmarkFanOut(b *testing.B) {
	const boards = 1000
	g := benchGateway(b)
	f := newFeed(g.cache, feedKey{"default", "pico-config"}, func() {})
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "pico-config", Namespace: "default"}, Data: map[string]string{"key": strings.Repeat("x", 800)}}
	w := &discardWriter{header: http.Header{}}
	st := stream{w: w, control: http.NewResponseController(w), cache: g.cache}
	cursors := make([]cursor, boards)
	b.ReportAllocs()
	version := 0
	for b.Loop() {
		version++
		cm.ResourceVersion = fmt.Sprint(version)
		if err := f.Update(cm); err != nil {
			b.Fatal(err)
		}
		s, _ := f.load()
		for i := range cursors {
			if !st.tell(s, &cursors[i]) {
				b.Fatal("dropped")
			}
		}
	}
	b.ReportMetric(float64(w.size)/float64(b.N)/boards, "wire-B/board")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/boards, "ns/board")
}

// BenchmarkIdleWatcher is the memory of a board that watches and is told
// nothing: heap and stacks of the gateway, over loopback TCP. The boards' own
// ends are raw connections, of which the kernel holds the buffers.
func BenchmarkIdleWatcher(b *testing.B) {
	const boards = 500
	h := startTLS(b, newFakeAPI())
	for b.Loop() {
		before := inUse()
		var conns []net.Conn
		for i := range boards {
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, conn)
			fmt.Fprintf(conn, "GET %s&watch=1 HTTP/1.1\r\nHost: a\r\nPicolet-Node: n%d\r\n\r\n", listMap, i)
			if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(inUse()-before)/boards, "B/watcher")
		for _, conn := range conns {
			conn.Close()
		}
		eventually(b, "the boards are gone", func() bool { return h.connections.Load() == 0 })
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
