// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/client-go/rest"
)

// named is a gateway for two boards at addresses of their own.
func named(c *Config) {
	c.InsecureBoards = map[string]netip.Addr{"pico-1": netip.MustParseAddr("10.0.0.1"), "pico-2": netip.MustParseAddr("10.0.0.2")}
}

// sayOn writes raw bytes on a connection, and reads one answer.
func sayOn(t *testing.T, conn net.Conn, raw string) (r reply, closed bool) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, raw) }()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("%q: %v", raw[:min(len(raw), 40)], err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}, resp.Close
}

// Requests as a firmware without our headers makes them, each on a connection of
// its own.
const (
	oldHead = "Host: 192.168.1.2:6080\r\nUser-Agent: pico/1.0\r\nAccept: application/json\r\nConnection: close\r\n"

	oldNode = `{  "kind": "Node",  "apiVersion": "v1",  "metadata": {    "name": "pico-1",    "labels": {` +
		`      "beta.kubernetes.io/arch": "arm",      "beta.kubernetes.io/os": "linux",      "kubernetes.io/arch": "arm",` +
		`      "kubernetes.io/os": "linux",      "kubernetes.io/hostname": "pico-1",      "node.kubernetes.io/instance-type": "rp2040-pico"    }  },` +
		`  "status": {    "conditions": [      {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"},` +
		`      {"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated"}    ],` +
		`    "addresses": [      {"type": "InternalIP", "address": "10.0.0.1"},      {"type": "Hostname", "address": "pico-1"}    ],` +
		`    "capacity": {      "cpu": "1",      "memory": "256Ki",      "pods": "0"    },    "allocatable": {      "cpu": "1",      "memory": "256Ki",      "pods": "0"    },` +
		`    "nodeInfo": {      "machineID": "rp2040",      "systemUUID": "rp2040",      "bootID": "rp2040",      "kernelVersion": "5.15.0-rp2040",      "osImage": "Pico SDK",` +
		`      "containerRuntimeVersion": "mock://1.0.0",      "kubeletVersion": "v1.34.0",      "kubeProxyVersion": "v1.34.0",      "operatingSystem": "linux",      "architecture": "arm"    },` +
		`    "daemonEndpoints": {      "kubeletEndpoint": {        "Port": 10250      }    }  }}`
)

// oldStatus is the status alone; of the first such firmware it came with kind,
// apiVersion and metadata.
func oldStatus(whole bool, heartbeat string) string {
	_, status, _ := strings.Cut(oldNode, `  "status"`)
	status = strings.ReplaceAll(`{  "status"`+status, `"reason"`, fmt.Sprintf(`"lastHeartbeatTime": %q, "lastTransitionTime": %[1]q, "reason"`, heartbeat))
	if whole {
		meta, _, _ := strings.Cut(oldNode, `  "status"`)
		status = meta + strings.TrimPrefix(status, "{")
	}
	return status
}

func oldRequest(method, target, head, contentType, body string) string {
	if body != "" {
		head += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	return method + " " + target + "\r\n" + head + "\r\n" + body
}

func oldRequests() map[string]struct {
	raw, uri string
	code     int
} {
	patch := "PATCH " + own + "/status"
	type request = struct {
		raw, uri string
		code     int
	}
	return map[string]request{
		"register":                {oldRequest("POST", "/api/v1/nodes HTTP/1.1", oldHead, jsonType, oldNode), "POST /api/v1/nodes", 409},
		"status":                  {oldRequest("PATCH", own+"/status HTTP/1.1", oldHead, strategicPatchType, oldStatus(false, "2026-01-01T00:00:00Z")), patch, 200},
		"status before the time":  {oldRequest("PATCH", own+"/status HTTP/1.1", oldHead, strategicPatchType, oldStatus(false, "1970-01-01T00:00:00Z")), patch, 200},
		"status with metadata":    {oldRequest("PATCH", own+"/status HTTP/1.1", oldHead, strategicPatchType, oldStatus(true, "2026-01-01T00:00:00Z")), patch, 200},
		"ConfigMap":               {oldRequest("GET", oneMap+" HTTP/1.1", oldHead, "", ""), "", 200},
		"no Accept, lower case":   {oldRequest("GET", own+" HTTP/1.1", "host:a\r\nconnection:close\r\n", "", ""), "GET " + own, 200},
		"lower-case body headers": {"POST /api/v1/nodes HTTP/1.1\r\nhost:a\r\nconnection:close\r\ncontent-type:application/json\r\ncontent-length:30\r\n\r\n" + `{"metadata":{"name":"pico-1"}}`, "POST /api/v1/nodes", 409},
		"HTTP/1.0":                {oldRequest("GET", own+" HTTP/1.0", "Host: a\r\n", "", ""), "GET " + own, 200},
		"HTTP/1.0 without Host":   {oldRequest("PATCH", own+"/status HTTP/1.0", "", strategicPatchType, statusBody), patch, 200},
		"HTTP/1.0, kept":          {oldRequest("GET", oneMap+" HTTP/1.0", "Connection: keep-alive\r\n", "", ""), "", 200},
	}
}

func TestRequestsOfOlderFirmware(t *testing.T) {
	t.Parallel()
	for name, tt := range oldRequests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI()
				api.node = func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						w.WriteHeader(http.StatusConflict)
					}
					_, _ = io.WriteString(w, `{"metadata":{"resourceVersion":"7"}}`)
				}
				api.put("pico-config", "value")
				h := startPiped(t, api, named)
				conn := h.pipes.dial("10.0.0.1:49152")
				r, closed := sayOn(t, conn, tt.raw)
				if r.code != tt.code || closed == strings.Contains(tt.raw, "keep-alive") {
					t.Errorf("%d %s, closed %v, want %d", r.code, r.body, closed, tt.code)
				}
				if r.header.Get("Content-Length") == "" {
					t.Errorf("no Content-Length, which this firmware reads by: %v", r.header)
				}
				switch asked := api.asked(); {
				case tt.uri == "" && len(asked) != 0, tt.uri != "" && len(asked) != 1:
					t.Errorf("the API server saw %+v", asked)
				case tt.uri != "" && (asked[0].method+" "+asked[0].uri != tt.uri || asked[0].header.Get("Impersonate-User") != nodeUserPrefix+"pico-1"):
					t.Errorf("the API server saw %+v", asked[0])
				}
				conn.Close()
				endBubble(t, h)
			})
		})
	}
}

// TestNamedBoardsAreConfined: an address is its node, and no other address is let
// in.
func TestNamedBoardsAreConfined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), named)
		for _, tt := range []struct {
			name, from, method, target, body string
			headers                          []string
			code                             int
		}{
			{"itself", "10.0.0.1:1", "GET", own, "", nil, 200},
			{"itself, as our kubelet", "10.0.0.1:1", "GET", own, "", []string{nodeHeader, "pico-1", boardHeader, "e661"}, 200},
			{"itself, another board's name", "10.0.0.1:1", "GET", own, "", []string{nodeHeader, "pico-1", boardHeader, "e662"}, 200},
			{"itself by IPv6", "[::ffff:10.0.0.1]:1", "GET", own, "", nil, 200},
			{"a ConfigMap before any other request", "10.0.0.2:1", "GET", oneMap, "", nil, 404},
			{"another path", "10.0.0.1:1", "GET", "/api/v1/nodes/pico-2", "", nil, 403},
			{"another header", "10.0.0.1:1", "GET", oneMap, "", []string{nodeHeader, "pico-2"}, 403},
			{"another header for that path", "10.0.0.1:1", "GET", "/api/v1/nodes/pico-2", "", []string{nodeHeader, "pico-2"}, 403},
			{"another header for the own path", "10.0.0.1:1", "GET", own, "", []string{nodeHeader, "pico-2"}, 403},
			{"another object", "10.0.0.1:1", "POST", "/api/v1/nodes", `{"metadata":{"name":"pico-2"}}`, nil, 403},
			{"another object by a patch", "10.0.0.1:1", "PATCH", own, `{"metadata":{"name":"pico-2"}}`, []string{"Content-Type", mergePatchType}, 403},
			{"a third node", "10.0.0.1:1", "GET", "/api/v1/nodes/pico-3", "", nil, 403},
			{"a stranger", "10.0.0.3:1", "GET", own, "", nil, 403},
			{"a stranger, as our kubelet", "10.0.0.3:1", "GET", own, "", []string{nodeHeader, "pico-1"}, 403},
			{"a stranger's ConfigMap", "10.0.0.3:1", "GET", oneMap, "", nil, 403},
			{"no address", "pipe", "GET", own, "", nil, 403},
		} {
			before := len(h.api.asked())
			c := h.client(tt.from)
			r := ask(t, c, tt.method, tt.target, tt.body, tt.headers...)
			if r.code != tt.code {
				t.Errorf("%s: %d %s", tt.name, r.code, r.body)
			}
			if r.code == http.StatusForbidden && !strings.Contains(r.message(t), "--insecure-board") && !strings.Contains(r.message(t), "the patch names") {
				t.Errorf("%s: does not say what to do: %s", tt.name, r.body)
			}
			asked := h.api.asked()[before:]
			if (r.code == http.StatusOK) != (len(asked) == 1) || len(asked) == 1 && asked[0].header.Get("Impersonate-User") != nodeUserPrefix+"pico-1" {
				t.Errorf("%s: the API server saw %+v", tt.name, asked)
			}
			c.CloseIdleConnections()
			synctest.Wait()
		}
		if n := h.connections.Load() + h.strangers.Load(); n != 0 {
			t.Errorf("%d connections left", n)
		}
		endBubble(t, h)
	})
}

// TestStrangersDoNotCrowdOutBoards: they have few connections among them all.
func TestStrangersDoNotCrowdOutBoards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), named, func(c *Config) { c.MaxConnections = maxStrangers + 1 })
		var open []net.Conn
		for i := range maxStrangers + 1 {
			open = append(open, h.pipes.dial(fmt.Sprintf("10.0.1.%d:1", i)))
		}
		if _, err := open[maxStrangers].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a stranger too many: %v, want it closed", err)
		}
		if r := ask(t, h.client("10.0.0.1:1"), "GET", own, ""); r.code != http.StatusOK {
			t.Errorf("a board: %d %s", r.code, r.body)
		}
		for _, c := range open {
			c.Close()
		}
		synctest.Wait()
		if n := h.strangers.Load(); n != 0 {
			t.Errorf("%d strangers left", n)
		}
		endBubble(t, h)
	})
}

// TestJailbreakOfANamedBoard: the same lures, from a named board's address.
func TestJailbreakOfANamedBoard(t *testing.T) {
	t.Parallel()
	h := startTLS(t, newFakeAPI(), func(c *Config) {
		c.InsecureBoards = map[string]netip.Addr{"pico-1": netip.MustParseAddr("127.0.0.1")}
	})
	for _, l := range lures() {
		if l.name == "no node named" {
			continue // the address names it
		}
		if code, body := exchange(t, h.addr, l.raw); !slices.Contains(l.codes, code) {
			t.Errorf("%s: %d %q, want one of %v", l.name, code, body, l.codes)
		}
	}
	if asked := h.api.asked(); len(asked) > 0 {
		t.Errorf("the API server saw %d requests: %+v", len(asked), asked)
	}
	if code, body := exchange(t, h.addr, get(own)); code != http.StatusOK {
		t.Errorf("the honest request: %d %q", code, body)
	}
}

func TestInsecureBoardsAreValidated(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	for name, tt := range map[string]struct {
		boards map[string]netip.Addr
		want   string // of the error; empty: none
	}{
		"none":            {nil, ""},
		"two":             {map[string]netip.Addr{"a": addr("10.0.0.1"), "b": addr("2001:db8::1")}, ""},
		"no node name":    {map[string]netip.Addr{"A_b": addr("10.0.0.1")}, `node name "A_b"`},
		"no address":      {map[string]netip.Addr{"a": {}}, "no board's address"},
		"any address":     {map[string]netip.Addr{"a": addr("::")}, "no board's address"},
		"multicast":       {map[string]netip.Addr{"a": addr("224.0.0.1")}, "no board's address"},
		"one address":     {map[string]netip.Addr{"b": addr("10.0.0.1"), "a": addr("10.0.0.1")}, "a and b have one address"},
		"in another form": {map[string]netip.Addr{"b": addr("10.0.0.1"), "a": addr("::ffff:10.0.0.1")}, "a and b have one address"},
		"another zone":    {map[string]netip.Addr{"b": addr("fe80::1%a"), "a": addr("fe80::1%b")}, "a and b have one address"},
	} {
		c := Config{Kubernetes: &rest.Config{}, InsecureBoards: tt.boards}
		err := c.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestFramerTakesOldHTTP(t *testing.T) {
	t.Parallel()
	for in, good := range map[string]bool{
		"GET / HTTP/1.0\r\n\r\n":                                     true,
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n":                          true,
		"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n":    true,
		"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n":               false,
		"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}":             true,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": false,
		"POST / HTTP/1.0\r\nContent-Length: 2\r\nContent-Length: 2":  false,
		"GET / HTTP/1.00\r\n\r\n":                                    false,
		"GET / HTTP/0.9\r\n\r\n":                                     false,
		"GET / HTTP/2.0\r\n\r\n":                                     false,
		"GET /\r\n":                                                  false,
	} {
		f := framer{oldHTTP: true}
		if _, err := f.accept([]byte(in)); (err == nil) != good {
			t.Errorf("%q: %v", in, err)
		}
	}
}
