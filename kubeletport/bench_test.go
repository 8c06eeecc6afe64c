// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"k8s.io/client-go/util/certificate"

	"github.com/picolet/picolet/link/linktest"
)

// BenchmarkNode tells what a node costs that nobody asks for anything, in bytes
// of heap and stack: its TCP port, its certificate, and what renews that.
func BenchmarkNode(b *testing.B) {
	for name, change := range map[string]func(*Config){
		"own CA":    nil,
		"cluster's": func(c *Config) { c.NodeKubernetes, c.CertificateStore = new(cluster).forNode, keptStore(b) },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				const nodes = 500
				h := newHarness(b, boards{linktest.NewNetwork()}, change)
				before := memory()
				for i := range nodes {
					name := fmt.Sprintf("node-%d", i)
					_, err := h.Add(Node{Name: name})
					must(b, err)
					_, err = h.nodes[name].certs.current()
					must(b, err)
				}
				b.ReportMetric(float64(memory()-before)/nodes, "B/node")
				h.close()
			}
		})
	}
}

// keptStore has a certificate for every node, so that none is requested.
func keptStore(b *testing.B) func(string) certificate.Store {
	ca, err := makeOwnCA()
	must(b, err)
	return func(name string) certificate.Store {
		cert, err := ca.issue(subject{node: name, ips: []net.IP{net.IPv4(127, 0, 0, 1)}})
		must(b, err)
		return &memoryStore{cert: cert}
	}
}

// memory is what the heap and the stacks hold.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkRequest is one request of the API server, from TLS to the board and
// back, by a client whose rights are known.
func BenchmarkRequest(b *testing.B) {
	h := startServer(b, startBoard(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), nil)
	client := h.client(b, h.admin(b))
	b.ReportAllocs()
	for b.Loop() {
		if r := ask(b, client, "GET", "/healthz", ""); r.code != http.StatusOK {
			b.Fatalf("%d %s", r.code, r.body)
		}
	}
}
