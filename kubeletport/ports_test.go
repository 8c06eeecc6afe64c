// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"
)

// freeRange finds n ports in a row that are free on loopback, outside of those
// that the system gives away.
func freeRange(t *testing.T, n int) int {
	t.Helper()
	for range 200 {
		first := 10_000 + rand.IntN(9_000)
		if areFree(first, n) {
			return first
		}
	}
	t.Fatal("no free range of ports")
	return 0
}

func areFree(first, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

func withRange(first, last int) func(*Config) {
	return func(c *Config) { c.FirstPort, c.LastPort = first, last }
}

// A node keeps its port: over a replacement, over a restart by name, and, where
// another took that, by what is remembered.
func TestPortsAreStable(t *testing.T) {
	t.Parallel()
	first := freeRange(t, 20)
	add := func(s *Server, n Node) int {
		t.Helper()
		port, err := s.Add(n)
		must(t, err)
		if port < first || port > first+19 {
			t.Errorf("port %d of %s is out of range", port, n.Name)
		}
		return port
	}
	ports := map[string]int{}
	for run := range 2 {
		h := newHarness(t, startBoard(t, okBoard), withRange(first, first+19))
		for i := range 10 {
			name := fmt.Sprintf("node-%d", i)
			port := add(h.Server, Node{Name: name, Port: ports[name]})
			if run > 0 && port != ports[name] {
				t.Errorf("%s: port %d, had %d", name, port, ports[name])
			}
			if again := add(h.Server, Node{Name: name}); again != port {
				t.Errorf("%s: port %d when replaced, had %d", name, again, port)
			}
			ports[name] = port
		}
		taken := ports["node-0"]
		if other := add(h.Server, Node{Name: "late", Port: taken}); other == taken || !strings.Contains(h.log.String(), "Port of a node is taken") {
			t.Errorf("late got port %d", other)
		}
		h.close()
	}
	h := newHarness(t, startBoard(t, okBoard), withRange(first, first+19))
	defer h.close()
	alone := add(h.Server, Node{Name: "alone"})
	h.Remove("alone")
	if again := add(h.Server, Node{Name: "alone"}); again != alone {
		t.Errorf("the only node has port %d, had %d", again, alone)
	}
	other := first + (alone-first+1)%20
	if moved := add(h.Server, Node{Name: "alone", Port: other}); moved != other {
		t.Errorf("port %d, asked for %d", moved, other)
	}
	if again := add(h.Server, Node{Name: "alone"}); again != other {
		t.Errorf("port %d when replaced, had %d", again, other)
	}
}

func TestPortsRunOut(t *testing.T) {
	t.Parallel()
	first := freeRange(t, 3)
	h := newHarness(t, startBoard(t, okBoard), withRange(first, first+2))
	defer h.close()
	for i := range 3 {
		_, err := h.Add(Node{Name: fmt.Sprintf("node-%d", i)})
		must(t, err)
	}
	if _, err := h.Add(Node{Name: "node-3"}); !errors.Is(err, ErrNoPort) || !strings.Contains(err.Error(), "widen --kubelet-ports") {
		t.Errorf("the fourth node on three ports: %v", err)
	}
	h.Remove("node-1")
	if _, err := h.Add(Node{Name: "node-3"}); err != nil {
		t.Error(err)
	}
}

func TestBadNodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, startBoard(t, okBoard), nil)
	defer h.close()
	for _, n := range []Node{
		{}, {Name: "A"}, {Name: "a/b"}, {Name: "a:1"}, {Name: "../x"}, {Name: strings.Repeat("a", 64)}, {Name: "a", Port: -1}, {Name: "a", Port: 65536},
	} {
		if _, err := h.Add(n); err == nil {
			t.Errorf("node %+v was taken", n)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Boards: boards{}, Kubernetes: fake.NewClientset(), Addresses: []netip.Addr{netip.IPv6Loopback()}}
	must(t, good.Validate())
	for field, change := range map[string]func(*Config){
		"Boards":                  func(c *Config) { c.Boards = nil },
		"Kubernetes":              func(c *Config) { c.Kubernetes = nil },
		"field Addresses is":      func(c *Config) { c.Addresses = nil },
		"Addresses: 0.0.0.0":      func(c *Config) { c.Addresses = []netip.Addr{netip.IPv4Unspecified()} },
		"ListenHost":              func(c *Config) { c.ListenHost = "localhost" },
		"FirstPort":               func(c *Config) { c.FirstPort = 30_000 },
		"LastPort":                func(c *Config) { c.LastPort = 70_000 },
		"MaxConnections ":         func(c *Config) { c.MaxConnections = -1 },
		"MaxConnectionsPerNode":   func(c *Config) { c.MaxConnectionsPerNode = -1 },
		"MaxConnectionsPerClient": func(c *Config) { c.MaxConnectionsPerClient = -1 },
		"MaxBoardRequests":        func(c *Config) { c.MaxBoardRequests = -1 },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
