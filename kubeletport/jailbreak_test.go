// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The jailbreak suite: a client with every right writes raw bytes to the port.
// Each lure must be refused, and the board must see nothing of it.

type lure struct {
	name, raw string
	codes     []int
}

func get(target string, headers ...string) string { return raw("GET", target, "", headers...) }

func raw(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: node\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

func lures() (all []lure) {
	add := func(name, raw string, codes ...int) { all = append(all, lure{name, raw, codes}) }

	for _, path := range []string{
		"/healthz/", "/healthz//ping", "//healthz", "/healthz/../pico/status", "/./healthz", "/healthz/.", "/healthz/..", "/..", "/../healthz",
		"/%68ealthz", "/healthz%2fping", "/healthz%2Fping", "/pico%2fcommand", "/pico/%2e%2e/metrics", "/pico/..%2fmetrics", "/healthz%00", "/healthz%20", "/healthz%0d%0aX:y",
		"/healthz;a=b", "/healthz;/../metrics", `/healthz\..\metrics`, "/healthz#/../metrics", "/HEALTHZ", "/healthz%", "/healthz%zz", "/%c0%af", "/healthz%u002fping",
		"/metrics/../pico/command", "/pico/command/", "/pico", "/pico/", "/pico/*", "/{path}", "*", "http://board/healthz", "https://10.0.0.1/healthz", "/http://board/healthz",
		"/logs//", "/logs/kern.log", "/logs/../../etc/passwd", "/debug/pprof/", "/debug/flags/v", "/configz/x", "/spec/", "/checkpoint/kube-system/picolet-pico-1/firmware",
		"/containerLogs/kube-system/picolet-pico-1/firmware/", "/containerLogs/kube-system/picolet-pico-1", "/containerLogs/kube-system//firmware", "/containerLogs///",
		"/containerLogs/kube-system/picolet-pico-1/..", "/containerLogs/kube-system/../firmware/x", "/containerLogs/kube-system/picolet-pico-1%2f..%2fx/firmware",
		"/containerLogs/kube-system/picolet-pico-2/firmware", "/containerLogs/default/picolet-pico-1/firmware", "/containerLogs/kube-system/picolet-pico-1/other",
		"/exec/../healthz/a/b", "/healthz?a=b;c=d", "/healthz?%zz", "/pico/memory?offset=%",
	} {
		add("path "+path, get(path), 400, 404)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "PRI"} {
		add("method "+method, raw(method, "/healthz", ""), 400, 405)
	}
	add("CONNECT", "CONNECT board:10250 HTTP/1.1\r\nHost: node\r\n\r\n", 400, 404, 405)
	add("another method by header", raw("DELETE", "/pico/command", "", "X-HTTP-Method-Override: POST"), 405)

	for _, h := range []string{"Upgrade: websocket\r\nConnection: Upgrade", "Upgrade: SPDY/3.1\r\nConnection: Upgrade", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk", "Upgrade: TLS/1.0\r\nConnection: Upgrade"} {
		add("upgrade "+h, get("/healthz", h), 400)
		add("upgrade of a command "+h, raw("POST", "/pico/command", "{}", h), 400)
		add("upgrade of a log "+h, get("/containerLogs"+podPath, h), 400)
	}
	add("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 405, 505)

	// Framing and smuggling.
	smuggled := raw("POST", "/pico/command", "{}")
	add("CL.0", raw("GET", "/healthz", smuggled), 400)
	add("chunked GET", "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
	add("CL.TE", raw("GET", "/metrics", "0\r\n\r\n"+smuggled, "Transfer-Encoding: chunked"), 400)
	add("TE.TE", "POST /pico/command HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n"+smuggled, 400, 501)
	add("unknown coding", "POST /pico/command HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, 501)
	add("two lengths", "POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400)
	add("a negative length", "POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}", 400)
	add("two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)
	add("no host", "GET /healthz HTTP/1.1\r\n\r\n", 400)
	add("a header without a name", get("/healthz", ": b"), 400)
	add("a blank before the colon", get("/healthz", "Content-Length : 0"), 400)
	add("a bare CR", get("/healthz", "X-A: b\rX-B: c"), 400)
	add("a NUL", get("/healthz", "X-A: \x00"), 400)
	add("garbage", strings.Repeat("\x00\xff\x13", 100)+"\r\n\r\n", 400)

	// Too much of everything.
	add("a command over 1 KiB", raw("POST", "/pico/command", strings.Repeat(" ", maxCommand+1)), 413)
	add("a chunked command over 1 KiB", "POST /pico/command HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n"+strings.Repeat(" ", 0x800)+"\r\n0\r\n\r\n", 413)
	add("a terabyte announced", "POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n"+strings.Repeat(" ", 2000), 413)
	add("an empty command", raw("POST", "/pico/command", ""), 400)
	add("a head over 16 KiB", get("/healthz", "X-Filler: "+strings.Repeat("a", 17<<10)), 431)
	add("many headers", get("/healthz", slices.Repeat([]string{"X-A: b"}, 4000)...), 431)
	add("a target over 16 KiB", get("/"+strings.Repeat("a", 17<<10)), 431)
	add("a path of 10 000 segments", get(strings.Repeat("/a", 5_000)), 404)
	add("a query of 5 000 parameters", get("/nowhere?"+strings.Repeat("a&", 5_000)), 404)
	return all
}

func TestJailbreak(t *testing.T) {
	t.Parallel()
	b := startBoard(t, okBoard)
	h := startServer(t, b, nil)
	for _, l := range lures() {
		code, body := h.exchange(t, l.raw)
		if !slices.Contains(l.codes, code) {
			t.Errorf("%s: answer %d %.200q, want one of %v", l.name, code, body, l.codes)
		}
	}
	equal(t, "requests that the board saw", b.requests(), nil)
	// The suite can fail: an honest client of the same shape gets through.
	for _, honest := range []string{get("/healthz"), raw("POST", "/pico/command", "{}")} {
		if code, body := h.exchange(t, honest); code != http.StatusOK {
			t.Errorf("the honest request: %d %q", code, body)
		}
	}
	if seen := b.requests(); len(seen) != 2 {
		t.Errorf("the board saw %q of the honest client", seen)
	}
}

// sentinel is a request that is answered by 404; it follows each lure on its
// connection.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"

// exchange writes raw bytes and the sentinel on a new connection and returns
// the first answer. It makes sure that the sentinel's is the only other one: no
// byte of a lure is taken for a further request.
func (h *harness) exchange(t *testing.T, raw string) (int, string) {
	t.Helper()
	c := secureConn(t, h, h.admin(t))
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	go func() { _, _ = io.WriteString(c, raw+sentinel) }()
	r := bufio.NewReader(c)
	code, body, ok := readReply(r)
	if !ok {
		t.Fatalf("no answer to %.100q", raw)
	}
	if second, text, ok := readReply(r); ok && second != http.StatusBadRequest && (second != http.StatusNotFound || !strings.Contains(text, "/sentinel")) {
		t.Errorf("a second request of %.100q was answered: %d %s", raw, second, text)
	}
	if third, text, ok := readReply(r); ok {
		t.Errorf("a third request of %.100q was answered: %d %s", raw, third, text)
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

// Whoever does not speak TLS gets no byte, whatever it says.
func TestPlainTextIsNotAnswered(t *testing.T) {
	t.Parallel()
	b := startBoard(t, okBoard)
	h := startServer(t, b, nil)
	for _, said := range []string{
		get("/healthz"), raw("POST", "/pico/command", "{}"), "GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n", strings.Repeat("\x00", 8), strings.Repeat("\xff", 4096),
		"\x80\x2e\x01\x00\x02\x00\x15", // SSL 2.0
	} {
		c, err := h.dial(t.Context())
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, said)
		must(t, err)
		if answer, _ := io.ReadAll(c); len(answer) > 0 { // a reset is as good as an end
			t.Errorf("%.20q is answered by %.100q", said, answer)
		}
		_ = c.Close()
	}
	equal(t, "requests that the board saw", b.requests(), nil)
	if code, body := h.exchange(t, get("/healthz")); code != http.StatusOK {
		t.Errorf("over TLS: %d %q", code, body)
	}
}
