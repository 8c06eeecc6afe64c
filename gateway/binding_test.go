// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"
	"testing/synctest"
)

// TestBindingIsSaidOfOneConnection: an answer tells that its connection is bound in
// a header that Connection names, and where the connection ends, not at all.
func TestBindingIsSaidOfOneConnection(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		raw        string
		code       int
		connection string // with "close" for a connection that ends
		node       string
	}{
		"bound":             {get(own), 200, nodeHeader, "pico-1"},
		"says no node":      {"GET " + own + " HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", ""},
		"closes":            {get(own, "Connection: close"), 200, "close", ""},
		"HTTP/1.0":          {"GET " + own + " HTTP/1.0\r\nPicolet-Node: pico-1\r\n\r\n", 200, "close", ""},
		"HTTP/1.0, kept":    {"GET " + own + " HTTP/1.0\r\nConnection: keep-alive\r\nPicolet-Node: pico-1\r\n\r\n", 200, "keep-alive", ""},
		"refused, and kept": {raw("PATCH", own, `{"status":{}}`, "Content-Type: text/plain"), 415, nodeHeader, "pico-1"},
		"refused, and ends": {raw("PATCH", own, `{"status":`, strategic), 400, "close", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := startPiped(t, newFakeAPI(), func(c *Config) {
					c.InsecureBoards = map[string]netip.Addr{"pico-1": netip.MustParseAddr("10.0.0.1")}
				})
				conn := h.pipes.dial("10.0.0.1:1")
				r, closed := sayOn(t, conn, tt.raw)
				if closed {
					r.header.Set("Connection", "close") // net/http takes it away
				}
				if connection, node := r.header.Get("Connection"), r.header.Get(nodeHeader); r.code != tt.code || connection != tt.connection || node != tt.node {
					t.Errorf("%d, Connection %q, node %q, want %+v", r.code, connection, node, tt)
				}
				conn.Close()
				endBubble(t, h)
			})
		})
	}
}

// TestProxyHidesTheBinding: a proxy keeps connections of its own, so a board behind
// one must go on to say who it is.
func TestProxyHidesTheBinding(t *testing.T) {
	t.Parallel()
	h := startTLS(t, newFakeAPI())
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: h.addr}))
	defer proxy.Close()
	behind := &harness{addr: proxy.Listener.Addr().String()}
	if r := ask(t, behind.client(""), "GET", own, "", nodeHeader, "pico-1"); r.code != 200 || r.header.Get(nodeHeader) != "" {
		t.Errorf("behind a proxy: %d, header %q", r.code, r.header.Get(nodeHeader))
	}
	if r := ask(t, h.client(""), "GET", own, "", nodeHeader, "pico-1"); r.code != 200 || r.header.Get(nodeHeader) != "pico-1" {
		t.Errorf("before it: %d, header %q", r.code, r.header.Get(nodeHeader))
	}
}
