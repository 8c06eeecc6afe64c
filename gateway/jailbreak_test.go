// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The jailbreak suite: hostile boards write raw bytes to the gateway's port. Each
// must get a refusal, and the API server must see nothing of it.

// A lure is a request that would be harmful, or at least meant to be.
type lure struct {
	name string
	raw  string
	codes
}

type codes []int

var (
	is400          = codes{http.StatusBadRequest}
	is403          = codes{http.StatusForbidden}
	refuse403or400 = codes{http.StatusBadRequest, http.StatusForbidden}
)

func get(target string, headers ...string) string { return raw("GET", target, "", headers...) }

// raw is a request as a board that is bound to pico-1 writes it.
func raw(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: gateway\r\nPicolet-Node: pico-1\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

const (
	own        = "/api/v1/nodes/pico-1"
	ownLease   = leasePath + "/pico-1"
	strategic  = "Content-Type: " + strategicPatchType
	statusBody = `{"status":{}}`
)

// emptyStatus is what becomes of statusBody from a board at an address.
func emptyStatus(address string) string {
	return `{"status":{"addresses":[{"type":"InternalIP","address":"` + address + `"},{"type":"Hostname","address":"pico-1"},{"$patch":"replace"}]}}`
}

func lures() (all []lure) {
	add := func(codes codes, name, raw string) { all = append(all, lure{name, raw, codes}) }

	// Somebody else's objects.
	add(is403, "another node", get("/api/v1/nodes/pico-2"))
	add(is403, "another node's status", raw("PATCH", "/api/v1/nodes/pico-2/status", statusBody, strategic))
	add(is403, "another node's lease", get(leasePath+"/pico-2"))
	add(is403, "another lease by body", raw("PUT", ownLease, `{"metadata":{"name":"pico-2"}}`))
	add(is403, "another node by body", raw("POST", "/api/v1/nodes", `{"metadata":{"name":"pico-2"}}`))
	add(is403, "another node by patch", raw("PATCH", own, `{"metadata":{"name":"pico-2"}}`, strategic))
	add(is403, "another node's pods", get("/api/v1/pods?fieldSelector=spec.nodeName=pico-2"))
	add(is403, "another node's event", raw("POST", "/api/v1/namespaces/default/events", `{"involvedObject":{"kind":"Node","name":"pico-2"}}`))
	add(is403, "a pod's event", raw("POST", "/api/v1/namespaces/default/events", `{"involvedObject":{"kind":"Pod","name":"pico-1"}}`))
	add(is403, "all nodes", get("/api/v1/nodes"))
	add(is403, "all leases", get(leasePath))
	add(is403, "pods unfiltered", get("/api/v1/pods"))
	add(is403, "pods by two selectors", get("/api/v1/pods?fieldSelector=spec.nodeName=pico-1&fieldSelector="))
	add(is403, "pods by an encoded second selector", get("/api/v1/pods?fieldSelector=spec.nodeName%3Dpico-1%2Cmetadata.name!%3Dx"))
	add(is403, "pods by the negated selector", get("/api/v1/pods?fieldSelector=spec.nodeName!%3Dpico-1"))
	add(is400, "pods by a selector cut by a semicolon", get("/api/v1/pods?fieldSelector=spec.nodeName=pico-1;watch=1"))
	add(is403, "pods of a namespace", get("/api/v1/namespaces/default/pods"))
	add(is403, "secrets", get("/api/v1/secrets"))
	add(is403, "a secret", get("/api/v1/namespaces/default/secrets/token"))
	add(is403, "a token of a service account", raw("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", `{}`))
	add(is403, "a signing request", raw("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", `{}`))
	add(is403, "all ConfigMaps of a namespace", get("/api/v1/namespaces/kube-system/configmaps"))
	add(is403, "all ConfigMaps", get("/api/v1/configmaps"))
	add(is403, "writing a ConfigMap", raw("PUT", "/api/v1/namespaces/default/configmaps/pico-config", `{}`))
	add(is403, "deleting the own node", raw("DELETE", own, ""))
	add(is403, "the node's proxy", get(own+"/proxy/"+"x"))
	add(is403, "exec", raw("POST", "/api/v1/namespaces/default/pods/x/exec", "{}"))
	add(is403, "the API server's metrics", get("/metrics"))
	add(is403, "the API server's readiness", get("/readyz"))
	add(is403, "an unknown method", raw("BREW", own, ""))
	add(is403, "TRACE", raw("TRACE", own, ""))
	add(is400, "the root", get("/"))

	// The same, behind an encoding.
	for _, path := range []string{
		own + "/../../secrets", "/api/v1/nodes/../secrets", "/api/v1/nodes/..", own + "/..", "/../api/v1/secrets", "/./api/v1/nodes/pico-1",
		"//api/v1/nodes/pico-1", "/api//v1/nodes/pico-1", own + "/", own + "//status",
		"/api/v1/nodes/%2e%2e/secrets", "/api/v1/nodes/%2E%2E%2Fsecrets", "/api/v1/nodes/..%2fsecrets", "/api/v1/nodes/..%5csecrets", `/api/v1/nodes/..\secrets`,
		"/api/v1/nodes/pico-1%2fstatus", "/api/v1/nodes/pico-1%2Fproxy", "/api/v1/nodes/pico%2d1", "/api/v1/nodes/%70ico-1",
		"/api/v1/nodes/pico-1%00", "/api/v1/nodes/pico-1%0d%0aX:%20y", "/api/v1/nodes/pico-1%20", "/api/v1/nodes/pico-1%252fstatus",
		"/api/v1/nodes/pico-1%c0%af..", "/api/v1/nodes/pico-1%u002fstatus", "/api/v1/nodes/pico-1;a=b", "/api/v1/nodes/pico-1%3Fwatch=1", "/api/v1/nodes/pico-1%23",
		"/api/v1/nodes/PICO-1", "/api/v1/nodes/pico_1", "/api/v1/nodes/pico-1#/../pico-2", "/api/v1/nodes/{node}", "/api/v1/nodes/*",
		"/api%2fv1/nodes/pico-1", "/%61pi/v1/nodes/pico-1", "/api/v1/nodes/pico-1%",
	} {
		add(refuse403or400, "path "+path, get(path))
	}

	// Another identity, another protocol.
	for _, h := range []string{
		"Impersonate-User: system:admin", "impersonate-user: system:node:pico-2", "IMPERSONATE-GROUP: system:masters", "Impersonate-Uid: 1",
		"Impersonate-Extra-scopes: x", "Authorization: Bearer x", "Authorization: Basic eDp5", "Proxy-Authorization: Basic eDp5",
		"X-Remote-User: system:admin", "X-Remote-Group: system:masters", "X-Remote-Extra-a: b", "Cookie: a=b",
		"Upgrade: websocket", "Upgrade: SPDY/3.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", "Connection: Upgrade",
		"Connection: keep-alive, Impersonate-User", "Connection: Picolet-Node", "Proxy-Connection: keep-alive", "Expect: 100-continue", "TE: trailers", "Trailer: X", "X-HTTP-Method-Override: DELETE",
	} {
		add(refuse403or400, "header "+h, get(own, h))
	}
	add(refuse403or400, "impersonation on a request for Upgrade", get(own, "Connection: Upgrade", "Upgrade: websocket", "Impersonate-User: admin"))
	for _, h := range []string{"Picolet-Node: pico-1", "Picolet-Node: pico-2", "picolet-board: a\r\nPicolet-Board: b", "Accept: a\r\nAccept: b", "Content-Type: a\r\nContent-Type: b", "Connection: close\r\nConnection: keep-alive"} {
		add(is400, "doubled "+h, get(own, h))
	}
	add(refuse403or400, "a header injected into the board's name", get(own, "Picolet-Board: a\r\nImpersonate-User: x"))
	add(is400, "an empty board's name", get(own, "Picolet-Board:"))
	add(is400, "a long board's name", get(own, "Picolet-Board: "+strings.Repeat("a", 65)))
	add(is400, "a board's name that is none", get(own, `Picolet-Board: a"b`))
	for _, node := range []string{"a/b", "../x", "A", "a b", "a%2fb", strings.Repeat("a", 254)} {
		add(refuse403or400, "node name "+node, "GET /api/v1/namespaces/default/configmaps/x HTTP/1.1\r\nHost: a\r\nPicolet-Node: "+node+"\r\n\r\n")
	}
	add(is403, "no node named", "GET /api/v1/namespaces/default/configmaps/x HTTP/1.1\r\nHost: a\r\n\r\n")

	// Framing and smuggling.
	for name, raw := range badlyFramed {
		add(is400, name, raw)
	}
	smuggled := get("/api/v1/secrets")
	add(is400, "CL.TE", raw("POST", "/api/v1/nodes", "0\r\n\r\n"+smuggled, "Transfer-Encoding: chunked"))
	add(is400, "TE.CL", "POST /api/v1/nodes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n"+smuggled+"\r\n0\r\n\r\n")
	add(is400, "TE.TE", "POST /api/v1/nodes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n"+smuggled)
	add(is400, "CL.0", raw("GET", own, smuggled))
	add(is400, "a body with a pods list", raw("GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1", "{}"))
	add(codes{405, 403, 400}, "CONNECT with a path", "CONNECT /api/v1/nodes/pico-1 HTTP/1.1\r\nHost: a\r\n\r\n")

	// Bodies that mean two things.
	for name, body := range map[string]string{
		"name twice":            `{"metadata":{"name":"pico-1","name":"pico-2"}}`,
		"metadata twice":        `{"metadata":{"name":"pico-1"},"metadata":{"name":"pico-2"}}`,
		"escaped name twice":    `{"metadata":{"name":"pico-1","\u006eame":"pico-2"}}`,
		"deep key twice":        `{"metadata":{"name":"pico-1"},"status":{"conditions":[{"type":"Ready","status":"True","status":"False"}]}}`,
		"generateName":          `{"metadata":{"name":"pico-1","generateName":"pico-2"}}`,
		"no name":               `{"metadata":{}}`,
		"name of another case":  `{"metadata":{"Name":"pico-1"}}`,
		"name no string":        `{"metadata":{"name":["pico-1"]}}`,
		"metadata no object":    `{"metadata":"pico-1"}`,
		"another kind":          `{"kind":"Pod","metadata":{"name":"pico-1"}}`,
		"another version":       `{"apiVersion":"v2","metadata":{"name":"pico-1"}}`,
		"a namespace":           `{"metadata":{"name":"pico-1","namespace":"kube-system"}}`,
		"two documents":         `{"metadata":{"name":"pico-1"}}{"metadata":{"name":"pico-2"}}`,
		"a list":                `[{"metadata":{"name":"pico-1"}}]`,
		"null":                  `null`,
		"YAML":                  "metadata: {name: pico-1}",
		"a comment":             `{"metadata":{"name":"pico-1"}/**/}`,
		"nesting":               strings.Repeat(`{"a":`, 2_000) + "1" + strings.Repeat("}", 200),
		"protobuf":              "k8s\x00\x0a\x0a\x0a\x02v1",
		"a name with a newline": `{"metadata":{"name":"pico-1\n"}}`,
	} {
		add(refuse403or400, "body: "+name, raw("POST", "/api/v1/nodes", body))
	}
	for _, contentType := range []string{
		"application/json-patch+json", "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf", "text/plain", "application/json",
		"application/merge-patch+json; boundary=x", "application/merge-patch+json; charset=utf-7", "application/merge-patch+json, application/json",
	} {
		add(codes{415}, "patch as "+contentType, raw("PATCH", own+"/status", statusBody, "Content-Type: "+contentType))
	}

	// Too much of everything.
	add(codes{413}, "a body over 12 KiB", raw("PATCH", own+"/status", strings.Repeat("a", maxNode+1), strategic))
	add(codes{413}, "a terabyte announced", "POST /api/v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n")
	add(codes{431}, "a head over 8 KiB", get(own, "X-Filler: "+strings.Repeat("a", 9<<10)))
	add(codes{431}, "many headers", get(own, slices.Repeat([]string{"X-A: b"}, 2000)...))
	add(codes{431, 400}, "a target over 8 KiB", get("/"+strings.Repeat("a", 9<<10)))
	add(codes{400}, "no body", raw("POST", "/api/v1/nodes", ""))
	add(codes{400}, "garbage", strings.Repeat("\x00\xff\x13", 1000))
	return all
}

func TestJailbreak(t *testing.T) {
	t.Parallel()
	h := startTLS(t, newFakeAPI())
	for _, l := range lures() {
		t.Run(l.name, func(t *testing.T) {
			code, body := exchange(t, h.addr, l.raw)
			if !slices.Contains(l.codes, code) {
				t.Errorf("answer %d %q, want one of %v", code, body, l.codes)
			}
		})
	}
	if asked := h.api.asked(); len(asked) > 0 {
		t.Errorf("the API server saw %d requests: %+v", len(asked), asked)
	}
	// The suite can fail: an honest board of the same shape gets through.
	if code, body := exchange(t, h.addr, get(own)); code != http.StatusOK {
		t.Errorf("the honest request: %d %q", code, body)
	}
	if asked := h.api.asked(); len(asked) != 1 {
		t.Errorf("the API server saw %d requests of the honest board", len(asked))
	}
}

// sentinel is a request that is refused by 403; it follows each lure on its
// connection.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"

// exchange writes raw bytes and the sentinel on a new connection and returns
// the first answer. It makes sure that the sentinel's is the only other one: no
// byte of a lure is taken for a further request.
func exchange(t *testing.T, addr, raw string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return exchangeWith(t, conn, raw)
}

// exchangeWith is exchange on a connection, which it closes.
func exchangeWith(t *testing.T, conn net.Conn, raw string) (int, string) {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, raw+sentinel) }()
	r := bufio.NewReader(conn)
	code, body, ok := readReply(r)
	if !ok {
		t.Fatal("no answer")
	}
	if second, text, ok := readReply(r); ok && second != http.StatusBadRequest && (second != http.StatusForbidden || !strings.Contains(text, "/sentinel")) {
		t.Errorf("a second request was answered: %d %s", second, text)
	}
	if third, text, ok := readReply(r); ok {
		t.Errorf("a third request was answered: %d %s", third, text)
	}
	return code, body
}

func readReply(r *bufio.Reader) (code int, body string, ok bool) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, "", false
	}
	text, _ := io.ReadAll(resp.Body) // a reset after the answer is the server's way to stop a sender
	return resp.StatusCode, string(text), true
}

// TestBoundConnection: what a connection is, it stays, whatever its later
// requests say.
func TestBoundConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		synctest.Wait()
		for _, tt := range []struct {
			name           string
			headers        []string // of the first request
			target, second string
			later          []string
			code           int
		}{
			{"by path", nil, "/api/v1/nodes/b-1", "/api/v1/nodes/b-2", nil, 403},
			{"by path, then by header", nil, "/api/v1/nodes/b-1", "/api/v1/nodes/b-2", []string{nodeHeader, "b-2"}, 403},
			{"by header", []string{nodeHeader, "b-1"}, "/api/v1/nodes/b-1", "/api/v1/nodes/b-2", nil, 403},
			{"same again", nil, "/api/v1/nodes/b-1", "/api/v1/nodes/b-1/status", nil, 403}, // GET of status is none of a board's
			{"same object", nil, "/api/v1/nodes/b-1", leasePath + "/b-1", nil, 200},
			{"header names another for the own path", nil, "/api/v1/nodes/b-1", "/api/v1/nodes/b-1", []string{nodeHeader, "b-2"}, 403},
		} {
			c := h.client("10.0.0.1:1")
			if r := ask(t, c, "GET", tt.target, "", tt.headers...); r.code != 200 {
				t.Fatalf("%s: first request: %d %s", tt.name, r.code, r.body)
			}
			if r := ask(t, c, "GET", tt.second, "", tt.later...); r.code != tt.code {
				t.Errorf("%s: second request: %d %s", tt.name, r.code, r.body)
			}
			c.CloseIdleConnections()
			synctest.Wait()
		}
		for _, r := range h.api.asked() {
			if user := r.header.Get("Impersonate-User"); user != "system:node:b-1" {
				t.Errorf("%s asked as %s", r.uri, user)
			}
		}
		endBubble(t, h)
	})
}

// TestSlowHead: a board that does not finish a head within 10 s, or a body
// within 15 s, is cut off.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first   string
		trickle string
		limit   time.Duration
	}{
		"nothing":    {"", "", headTimeout},
		"slow head":  {"GET /", "x", headTimeout},
		"slow body":  {raw("PATCH", own+"/status", strings.Repeat(" ", 5000), strategic)[:400], " ", bodyTimeout},
		"idle after": {get(own), "", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := startPiped(t, newFakeAPI())
				synctest.Wait()
				conn := h.pipes.dial("10.0.0.1:1")
				start := time.Now()
				closed := make(chan time.Duration, 1)
				go func() {
					_, _ = io.Copy(io.Discard, conn)
					closed <- time.Since(start)
				}()
				go func() {
					_, err := io.WriteString(conn, tt.first)
					for err == nil && tt.trickle != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(conn, tt.trickle)
					}
				}()
				// net/http lingers half a second after an answer that ends a connection.
				if after := <-closed; after < tt.limit || after > tt.limit+time.Second {
					t.Errorf("cut off after %v, want %v", after, tt.limit)
				}
				conn.Close()
				time.Sleep(2 * time.Second)
				if n := h.connections.Load(); n != 0 {
					t.Errorf("%d connections left", n)
				}
				endBubble(t, h)
			})
		})
	}
}

// endBubble stops the gateway: everything it started must end, or the bubble
// does not.
func endBubble(t *testing.T, h *harness) {
	t.Helper()
	for _, cancel := range h.cancels {
		cancel()
	}
	if err := h.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestConnectionsAreBounded: connections past the limit are told so and closed, also
// when they ask for nothing, and their room is given back.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), func(c *Config) { c.MaxConnections = 2 })
		synctest.Wait()
		var open []net.Conn
		for i := range 3 {
			open = append(open, h.pipes.dial("10.0.0.1:"+strconv.Itoa(i)))
		}
		if _, err := open[2].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("third connection: %v, want it closed", err)
		}
		r := ask(t, h.client("10.0.0.1:8"), "PATCH", ownLease, `{"spec":{}}`)
		if r.message(t); r.code != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("a request beyond the limit: %d %v %s", r.code, r.header, r.body)
		}
		open[0].Close()
		synctest.Wait()
		if r := ask(t, h.client("10.0.0.1:9"), "GET", own, ""); r.code != http.StatusOK {
			t.Errorf("after one was closed: %d", r.code)
		}
		endBubble(t, h)
	})
}
