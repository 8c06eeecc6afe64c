// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile is a request that the gateway must refuse. OWN stands for the node
// that the board is, OTHER for one that it is not.
type hostile struct{ name, raw string }

var hostileNames = strings.NewReplacer("OWN", "hostile", "OTHER", "bystander")

// headed is a request with a board's usual head, and further headers.
func headed(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: gateway\r\nPicolet-Node: OWN\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// bodied is the same with a body.
func bodied(line, body string, headers ...string) string {
	return headed(line, append(headers, fmt.Sprintf("Content-Length: %d", len(hostileNames.Replace(body))))...) + body
}

const (
	ownPath   = "/api/v1/nodes/OWN"
	leases    = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	events    = "/api/v1/namespaces/default/events"
	jsonBody  = "Content-Type: application/json"
	patchBody = "Content-Type: application/strategic-merge-patch+json"
	smuggled  = "GET /api/v1/secrets HTTP/1.1\r\nHost: gateway\r\n\r\n"
)

var hostileRequests = []hostile{
	{"reads another node", headed("GET /api/v1/nodes/OTHER")},
	{"writes another node's status", bodied("PATCH /api/v1/nodes/OTHER/status", `{"status":{}}`, patchBody)},
	{"writes another node's lease", bodied("PATCH "+leases+"/OTHER", `{"spec":{}}`, patchBody)},
	{"registers another node", bodied("POST /api/v1/nodes", `{"metadata":{"name":"OTHER"}}`, jsonBody)},
	{"says another node's Event", bodied("POST "+events, `{"involvedObject":{"kind":"Node","name":"OTHER"}}`, jsonBody)},
	{"lists all nodes", headed("GET /api/v1/nodes")},
	{"lists all leases", headed("GET " + leases)},
	{"deletes its own node", headed("DELETE " + ownPath)},
	{"reads secrets", headed("GET /api/v1/secrets")},
	{"reads a secret", headed("GET /api/v1/namespaces/kube-system/secrets/token")},
	{"reads all ConfigMaps", headed("GET /api/v1/namespaces/default/configmaps")},
	{"writes a ConfigMap", bodied("PUT /api/v1/namespaces/default/configmaps/pico-config", "{}", jsonBody)},
	{"lists pods unfiltered", headed("GET /api/v1/pods")},
	{"lists another node's pods", headed("GET /api/v1/pods?fieldSelector=spec.nodeName%3DOTHER")},
	{"lists pods by two selectors", headed("GET /api/v1/pods?fieldSelector=spec.nodeName%3DOWN&fieldSelector=")},
	{"runs a command in a pod", bodied("POST /api/v1/namespaces/default/pods/web/exec", "{}", jsonBody)},
	{"asks for a token", bodied("POST /api/v1/namespaces/default/serviceaccounts/default/token", "{}", jsonBody)},
	{"goes through the node's proxy", headed("GET " + ownPath + "/proxy/healthz")},
	{"reads the API server's metrics", headed("GET /metrics")},

	{"climbs by ..", headed("GET " + ownPath + "/../OTHER")},
	{"climbs to secrets by ..", headed("GET " + ownPath + "/../../secrets")},
	{"climbs by an encoded dot", headed("GET " + ownPath + "/%2e%2e/OTHER")},
	{"encodes a slash", headed("GET /api/v1/nodes/OWN%2f..%2fOTHER")},
	{"encodes a slash twice", headed("GET /api/v1/nodes/OWN%252f..%252fOTHER")},
	{"encodes a backslash", headed("GET /api/v1/nodes/OWN%5c..%5cOTHER")},
	{"encodes a letter", headed("GET /%61pi/v1/secrets")},
	{"doubles a slash", headed("GET //api/v1/secrets")},
	{"ends a name by NUL", headed("GET /api/v1/nodes/OTHER%00OWN")},
	{"breaks the line", headed("GET /api/v1/nodes/OWN%0d%0aImpersonate-User:%20admin")},
	{"names the whole URL", headed("GET http://127.0.0.1/api/v1/secrets")},
	{"asks for a tunnel", headed("CONNECT 127.0.0.1:443")},

	{"doubles Picolet-Node", headed("GET /api/v1/nodes/OTHER", "Picolet-Node: OTHER")},
	{"doubles Host", headed("GET "+ownPath, "Host: other")},
	{"doubles Content-Length", headed("POST /api/v1/nodes", jsonBody, "Content-Length: 0", "Content-Length: 50") + smuggled},
	{"lists lengths", headed("POST /api/v1/nodes", jsonBody, "Content-Length: 0, 50") + smuggled},
	{"signs a length", headed("POST /api/v1/nodes", jsonBody, "Content-Length: +0") + smuggled},
	{"smuggles by CL.TE", bodied("POST /api/v1/nodes", "0\r\n\r\n"+smuggled, jsonBody, "Transfer-Encoding: chunked")},
	{"smuggles by TE.CL", headed("POST /api/v1/nodes", jsonBody, "Transfer-Encoding: chunked", "Content-Length: 4") + "40\r\n" + smuggled + "\r\n0\r\n\r\n"},
	{"smuggles by a hidden TE", bodied("POST /api/v1/nodes", "0\r\n\r\n"+smuggled, jsonBody, "Transfer-Encoding : chunked")},
	{"folds a line", bodied("POST /api/v1/nodes", "0\r\n\r\n"+smuggled, jsonBody, "X: y\r\n Transfer-Encoding: chunked")},
	{"ends lines by LF", "GET /api/v1/secrets HTTP/1.1\nHost: gateway\n\n"},

	{"upgrades to WebSocket", headed("GET "+ownPath, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")},
	{"upgrades to SPDY", headed("POST /api/v1/namespaces/default/pods/web/exec?command=id", "Connection: Upgrade", "Upgrade: SPDY/3.1")},
	{"upgrades to HTTP/2", headed("GET "+ownPath, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")},
	{"speaks HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},

	{"impersonates a user", headed("GET "+ownPath, "Impersonate-User: admin")},
	{"impersonates another node", headed("GET /api/v1/nodes/OTHER", "impersonate-user: system:node:OTHER")},
	{"impersonates a group", headed("GET "+ownPath, "Impersonate-Group: system:masters")},
	{"impersonates an UID", headed("GET "+ownPath, "Impersonate-Uid: 0")},
	{"impersonates extras", headed("GET "+ownPath, "Impersonate-Extra-Scopes: all")},
	{"poses as a front proxy", headed("GET "+ownPath, "X-Remote-User: admin", "X-Remote-Group: system:masters")},
	{"brings a token", headed("GET "+ownPath, "Authorization: Bearer abc")},
	{"has a header removed on the way", headed("GET "+ownPath, "Connection: Picolet-Node")},
}

// What a board may not do is refused by the gateway. The API server's audit log
// is the witness that nothing of it went further.
func TestHostileRequestsNeverReachTheAPIServer(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	account := p.secondAccount(t)
	g := ownGateway(t, p, account, anyPort)

	// Requests of the board that it may make, first and last: they show that
	// its way to the API server is open, and that the log is complete.
	harmless := headed("GET " + ownPath)
	last := headed("GET /api/v1/pods?fieldSelector=spec.nodeName%3DOWN")
	if code := send(t, g.addr, hostileNames.Replace(harmless)); code != http.StatusNotFound {
		t.Fatalf("reading the own node, which is not there: %d", code)
	}
	for _, h := range hostileRequests {
		code := send(t, g.addr, hostileNames.Replace(h.raw))
		if code != http.StatusBadRequest && code != http.StatusForbidden {
			t.Errorf("a board that %s gets %d, want 400 or 403", h.name, code)
		}
	}
	if code := send(t, g.addr, hostileNames.Replace(last)); code != http.StatusOK {
		t.Fatalf("listing the own pods: %d", code)
	}

	want := []string{
		"get /api/v1/nodes/hostile as system:node:hostile",
		"list /api/v1/pods?fieldSelector=spec.nodeName%3Dhostile as system:node:hostile",
	}
	seen := p.waitAudited(t, account, want[1])
	if !slices.Equal(seen, want) {
		t.Errorf("the API server saw\n%s\nwant only\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

// send writes raw bytes to the gateway and returns the status code of the first
// answer. What more is answered on the connection must be refusals too.
func send(t *testing.T, addr, raw string) int {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(15*time.Second)))
	if _, err := c.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	code, err := readAnswer(r)
	if err != nil {
		t.Fatalf("no answer to %q: %v", raw, err)
	}
	_ = c.(*net.TCPConn).CloseWrite() // fails where the gateway hung up already
	for {
		more, err := readAnswer(r)
		if err != nil {
			return code
		}
		if more < http.StatusBadRequest {
			t.Errorf("a second answer to %q: %d", raw, more)
		}
	}
}

// readAnswer reads one answer and returns its status code.
func readAnswer(r *bufio.Reader) (code int, err error) {
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// audited is what the audit log tells of a request (audit.k8s.io/v1 Event).
type audited struct {
	Stage, RequestURI, Verb string
	User                    struct{ Username string }
	ImpersonatedUser        *struct{ Username string }
	RequestObject           json.RawMessage
}

func (e *audited) String() string {
	s := e.Verb + " " + e.RequestURI
	if e.ImpersonatedUser != nil {
		s += " as " + e.ImpersonatedUser.Username
	}
	return s
}

// auditedOf lists what a gateway asked of the API server for boards.
func (p *plane) auditedOf(account string) ([]audited, error) {
	f, err := os.Open(p.auditLog())
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var seen []audited
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e audited
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("audit log: %w", err) // a line that is being written
		}
		if e.User.Username == "system:serviceaccount:"+gatewayNamespace+":"+account && !e.ownAffair() {
			seen = append(seen, e)
		}
	}
	return seen, lines.Err()
}

// waitAudited waits until the audit log holds a gateway's last request, and
// returns all of them.
func (p *plane) waitAudited(t *testing.T, account, last string) (seen []string) {
	t.Helper()
	eventually(t, 10*time.Second, func(context.Context) error {
		events, err := p.auditedOf(account)
		seen = seen[:0]
		for _, e := range events {
			seen = append(seen, e.String())
		}
		if err == nil && !slices.Contains(seen, last) {
			err = fmt.Errorf("%q is not yet in the audit log: %q", last, seen)
		}
		return err
	})
	return seen
}

// ownAffair tells whether a request is one by which a gateway learns whether it
// is ready, and not one for a board.
func (e *audited) ownAffair() bool {
	return e.RequestURI == "/readyz" || strings.Contains(e.RequestURI, "/selfsubject") || strings.HasSuffix(e.RequestURI, "/nodes/picolet-gateway-probe")
}
