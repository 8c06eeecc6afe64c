// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestConnectionsBeyondTheLimitAreAnswered over TCP, where a connection that is closed
// before all was read is reset.
func TestConnectionsBeyondTheLimitAreAnswered(t *testing.T) {
	t.Parallel()
	h := startTLS(t, newFakeAPI(), func(c *Config) { c.MaxConnections = 1 })
	first, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	eventually(t, "the first one is counted", func() bool { return h.connections.Load() == 1 })
	raw := strings.Replace(get(own), "GET", "PATCH", 1)
	raw = strings.Replace(raw, "\r\n\r\n", "\r\nContent-Length: 4096\r\n\r\n", 1) + strings.Repeat("x", 4096)
	for range 20 {
		if code, body := exchange(t, h.addr, raw); code != http.StatusServiceUnavailable || !strings.Contains(body, "all connections that this gateway takes are in use") {
			t.Fatalf("%d %q", code, body)
		}
	}
}

// TestConnectionsBeyondTheLimitDoNotBlock: however many connections beyond the limit say
// nothing, others are accepted, and closed at once.
func TestConnectionsBeyondTheLimitDoNotBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), func(c *Config) { c.MaxConnections = 1 })
		began := time.Now()
		var all []net.Conn
		for i := range 1 + 3*maxTurnedAway {
			all = append(all, h.pipes.dial(fmt.Sprintf("10.0.0.1:%d", i)))
		}
		last := all[len(all)-1]
		if _, err := last.Read(make([]byte, 1)); err == nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		for _, c := range all {
			_ = c.Close()
		}
		endBubble(t, h)
	})
}
