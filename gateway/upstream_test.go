// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestForward: what reaches the API server is made by the gateway, and what
// comes back is passed on with a short head.
func TestForward(t *testing.T) {
	t.Parallel()
	api := newFakeAPI()
	api.node = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Tue, 01 Jan 2030 00:00:00 GMT")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Audit-Id", "x")
		w.Header().Set("X-Kubernetes-Pf-Flowschema-Uid", strings.Repeat("x", 600))
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"kind":"Status"}`)
	}
	h := startTLS(t, api)
	r := ask(t, h.client(""), "PATCH", own+"/status", statusBody, "Content-Type", strategicPatchType+"; charset=UTF-8",
		nodeHeader, "pico-1", "Accept", "application/yaml", "User-Agent", "board/1", "X-Forwarded-For", "1.2.3.4", "X-Anything", "a", "Accept-Encoding", "gzip")
	if r.code != http.StatusTooManyRequests || r.body != `{"kind":"Status"}` {
		t.Errorf("answer %d %s", r.code, r.body)
	}
	want := http.Header{"Content-Type": {jsonType}, "Date": {"Tue, 01 Jan 2030 00:00:00 GMT"}, "Retry-After": {"7"}, "Content-Length": {"17"}, nodeHeader: {"pico-1"}, "Connection": {nodeHeader}}
	if !maps.EqualFunc(r.header, want, slices.Equal) {
		t.Errorf("head of the answer: %v", r.header)
	}
	asked := h.api.asked()
	if len(asked) != 1 {
		t.Fatalf("%d requests upstream", len(asked))
	}
	got := asked[0]
	if got.method != "PATCH" || got.uri != own+"/status" || !sameJSON(t, got.body, emptyStatus("127.0.0.1")) {
		t.Errorf("upstream: %+v", got)
	}
	wantHeader := http.Header{"Accept": {jsonType}, "Content-Type": {strategicPatchType}, "Content-Length": {strconv.Itoa(len(got.body))}, "User-Agent": {"picolet-gateway"},
		"Impersonate-User": {"system:node:pico-1"}, "Authorization": {"Bearer gateway-token"}}
	if !maps.EqualFunc(got.header, wantHeader, slices.Equal) {
		t.Errorf("head upstream: %v", got.header)
	}
}

// TestHeadIsSmall: boards read heads into 512 bytes.
func TestHeadIsSmall(t *testing.T) {
	t.Parallel()
	h := startTLS(t, newFakeAPI())
	h.api.put("pico-config", "1")
	for _, target := range []string{own, listMap, listMap + "&watch=1", "/api/v1/secrets", "/api/v1/nodes/pico-2"} {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, get(target))
		size := 0
		for r := bufio.NewReader(conn); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if size += len(line); line == "\r\n" {
				break
			}
		}
		if size > 512 {
			t.Errorf("%s: head of %d bytes", target, size)
		}
	}
}

func TestUpstreamTrouble(t *testing.T) {
	t.Parallel()
	status := func(code int, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"code":%d}`, message, code)
		}
	}
	for name, tt := range map[string]struct {
		node       http.HandlerFunc
		code       int
		retryAfter bool
		log        string
	}{
		"broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502, true, "Request to API server failed"},
		"no answer":         {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 504, true, "Request to API server failed"},
		"answer too long": {func(w http.ResponseWriter, _ *http.Request) {
			for range 1100 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		}, 502, true, "longer than"},
		"own credentials refused": {status(401, "Unauthorized"), 502, true, "renew its token or certificate"},
		"own rights missing": {status(403, `nodes "pico-1" is forbidden: User "system:serviceaccount:a:b" cannot impersonate-on:arbitrary-node:get resource "nodes"`),
			502, true, "apply deploy/rbac.yaml"},
		"node's rights missing": {status(403, `nodes "pico-1" is forbidden: node "pico-1" is not allowed to modify labels: User "x" cannot impersonate`), 403, false, "refused the node's own request"},
		"not taken for a node":  {status(403, `nodes "pico-1" is forbidden: User "system:node:pico-1" cannot get resource "nodes"`), 502, true, "does not authorize a node"},
		"internal error":        {status(500, "x"), 500, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI()
				api.node = tt.node
				h := startPiped(t, api)
				r := h.get(t, "pico-1", own)
				if r.code != tt.code || (r.header.Get("Retry-After") != "") != tt.retryAfter {
					t.Errorf("answer %d, Retry-After %q: %s", r.code, r.header.Get("Retry-After"), r.body)
				}
				r.message(t)
				if !strings.Contains(h.log.String(), tt.log) {
					t.Errorf("log lacks %q:\n%s", tt.log, h.log)
				}
				endBubble(t, h)
			})
		})
	}
}

// TestInFlightIsBounded: past the bound a board is told to come again, at once.
func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.node = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		h := startPiped(t, api, func(c *Config) { c.MaxInFlight = 1 })
		first := make(chan int)
		go func() { first <- h.get(t, "pico-1", own).code }()
		synctest.Wait()
		if r := h.get(t, "pico-2", "/api/v1/nodes/pico-2"); r.code != http.StatusTooManyRequests || r.header.Get("Retry-After") != "1" {
			t.Errorf("second request: %d %s", r.code, r.body)
		}
		if code := <-first; code != http.StatusGatewayTimeout {
			t.Errorf("first request: %d", code)
		}
		endBubble(t, h)
	})
}

// TestBoardHangsUp: a board that ends its side of the connection before the
// answer came is told so, and the API server is not blamed.
func TestBoardHangsUp(t *testing.T) {
	t.Parallel()
	api := newFakeAPI()
	asked := make(chan struct{})
	api.node = func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}
	h := startTLS(t, api)
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, get(own))
	<-asked
	_ = conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "hung up") {
		t.Errorf("answer %d %s", resp.StatusCode, body)
	}
	if strings.Contains(h.log.String(), "Request to API server failed") {
		t.Errorf("the log blames the API server:\n%s", h.log)
	}
}
