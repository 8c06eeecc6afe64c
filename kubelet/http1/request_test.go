// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/http1"
)

// request is what a RequestReader makes of a stream.
type request struct {
	method, path, query  string
	host, authorization  string
	contentType, body    string
	keepAlive, http10    bool
	done                 bool
	rest                 int // bytes that were not consumed
	hasQuery, hasContent bool
}

func readRequest(buf []byte, pieces [][]byte) (got request, err error) {
	var r http1.RequestReader
	r.Reset(buf)
	for _, piece := range pieces {
		piece = bytes.Clone(piece)
		n := 0
		if !got.done && err == nil {
			n, got.done, err = r.Feed(piece)
			if n < len(piece) && !got.done && err == nil {
				panic("input left over")
			}
		}
		got.rest += len(piece) - n
		clear(piece)
	}
	if !got.done {
		return request{}, err
	}
	got.method, got.path, got.query = string(r.Method()), string(r.Path()), string(r.Query())
	got.host, got.authorization, got.contentType = string(r.Host()), string(r.Authorization()), string(r.ContentType())
	got.body, got.keepAlive, got.http10 = string(r.Body()), r.KeepAlive(), r.HTTP10()
	got.hasQuery, got.hasContent = r.Query() != nil, r.ContentType() != nil
	return got, err
}

func TestRequestReaderAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want request
	}{
		"plain": {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", request{method: "GET", path: "/healthz", host: "a", keepAlive: true}},
		"names in any case": {"GET / HTTP/1.1\r\nhOST:\t10.0.0.1:10250 \t\r\nAUTHORIZATION: Bearer x y\r\n\r\n",
			request{method: "GET", path: "/", host: "10.0.0.1:10250", authorization: "Bearer x y", keepAlive: true}},
		"IPv6 host": {"HEAD / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\n\r\n", request{method: "HEAD", path: "/", host: "[fe80::1%25eth0]:80", keepAlive: true}},
		"query": {"GET /a?b=c?d&e=[1] HTTP/1.1\r\nHost: a\r\n\r\n",
			request{method: "GET", path: "/a", query: "b=c?d&e=[1]", hasQuery: true, host: "a", keepAlive: true}},
		"empty query": {"GET /a? HTTP/1.1\r\nHost: a\r\n\r\n", request{method: "GET", path: "/a", hasQuery: true, host: "a", keepAlive: true}},
		"body": {"POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 0000002\r\n\r\n{}GET /",
			request{method: "POST", path: "/pico/command", host: "a", contentType: "application/json", hasContent: true, body: "{}", keepAlive: true, rest: 5}},
		"pipelined": {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", request{method: "GET", path: "/", host: "a", keepAlive: true, rest: 16}},
		"close":     {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", request{method: "GET", path: "/", host: "a"}},
		"close wins": {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
			request{method: "GET", path: "/", host: "a"}},
		"HTTP/1.0":       {"GET / HTTP/1.0\r\n\r\n", request{method: "GET", path: "/", http10: true}},
		"HTTP/1.0 kept":  {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", request{method: "GET", path: "/", http10: true, keepAlive: true}},
		"HTTP/1.0 close": {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", request{method: "GET", path: "/", http10: true}},
		"HTTP/1.0 expects": {"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
			request{method: "PUT", path: "/", http10: true, body: "x"}},
		"upgrade is ignored": {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
			request{method: "GET", path: "/", host: "a", keepAlive: true}},
		"other fields": {"DELETE /a/b/ HTTP/1.1\r\nX: \xff\x80\t!\r\nY:\r\nHost: a\r\nX: 2\r\n\r\n", request{method: "DELETE", path: "/a/b/", host: "a", keepAlive: true}},
		"path characters": {"PATCH /-._~!$&'()*+,;=:@/%41%20%C3%A9%25/...//.a/a. HTTP/1.1\r\nHost: a\r\n\r\n",
			request{method: "PATCH", path: "/-._~!$&'()*+,;=:@/%41%20%C3%A9%25/...//.a/a.", host: "a", keepAlive: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.done = true
			buf := make([]byte, 512)
			for size := 1; size <= len(test.in); size++ {
				if got, err := readRequest(buf, bySize(test.in, size)); err != nil || got != test.want {
					t.Fatalf("by %d bytes:\n got %+v, %v\nwant %+v", size, got, err, test.want)
				}
			}
			for split := range len(test.in) {
				got, err := readRequest(buf, [][]byte{[]byte(test.in[:split]), nil, []byte(test.in[split:])})
				if err != nil || got != test.want {
					t.Fatalf("split at %d:\n got %+v, %v\nwant %+v", split, got, err, test.want)
				}
			}
			checkRequestSizes(t, test.in[:len(test.in)-test.want.rest])
		})
	}
}

// checkRequestSizes reads a request into buffers of all sizes up to its own.
func checkRequestSizes(t *testing.T, in string) {
	t.Helper()
	line, head := strings.Index(in, "\r\n")+2, strings.Index(in, "\r\n\r\n")+4
	for size := range len(in) + 1 {
		want := http1.ErrBodyTooLarge
		switch {
		case size < line:
			want = http1.ErrTargetTooLong
		case size < head:
			want = http1.ErrHeadTooLarge
		case size == len(in):
			want = nil
		}
		memory := make([]byte, size+8)
		got, err := readRequest(memory[:size], [][]byte{[]byte(in)})
		if want == nil && err != nil || want != nil && err != want || got.done != (want == nil) {
			t.Fatalf("buffer of %d bytes: %+v, %v; want %v", size, got, err, want)
		}
		if !bytes.Equal(memory[size:], make([]byte, 8)) {
			t.Fatalf("buffer of %d bytes: wrote past it", size)
		}
	}
}

// refused lists requests and the answer they get; the connection is not told
// more than the first bad byte, so that no time-out is needed.
var refused = map[string]struct {
	in     string
	want   error
	status int
}{
	"CL.TE":                  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrSmuggling, 400},
	"TE.CL":                  {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nContent-Length: 5\r\n\r\n", http1.ErrSmuggling, 400},
	"TE.TE":                  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: x\r\n\r\n", http1.ErrTransferEncoding, 501},
	"TE":                     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrTransferEncoding, 501},
	"TE empty":               {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", http1.ErrTransferEncoding, 501},
	"TE with space":          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", http1.ErrHeader, 400},
	"TE with vertical tab":   {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\vchunked\r\n\r\n", http1.ErrHeader, 400},
	"TE folded":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", http1.ErrHeader, 400},
	"length twice":           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", http1.ErrContentLength, 400},
	"length list":            {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", http1.ErrContentLength, 400},
	"length signed":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", http1.ErrContentLength, 400},
	"length negative":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", http1.ErrContentLength, 400},
	"length empty":           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", http1.ErrContentLength, 400},
	"length of 10 digits":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000005\r\n\r\n", http1.ErrContentLength, 400},
	"length in hex":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0xA\r\n\r\n", http1.ErrContentLength, 400},
	"length with NBSP":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\xa0\r\n\r\n", http1.ErrContentLength, 400},
	"body too large":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", http1.ErrBodyTooLarge, 413},
	"no host":                {"GET / HTTP/1.1\r\n\r\n", http1.ErrHost, 400},
	"two hosts":              {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", http1.ErrHost, 400},
	"empty host":             {"GET / HTTP/1.1\r\nHost:\r\n\r\n", http1.ErrHost, 400},
	"host with path":         {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", http1.ErrHost, 400},
	"host with user":         {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", http1.ErrHost, 400},
	"host list":              {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", http1.ErrHost, 400},
	"two authorizations":     {"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", http1.ErrHeader, 400},
	"two content types":      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Type:\r\nContent-Type: b\r\n\r\n", http1.ErrHeader, 400},
	"expect":                 {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", http1.ErrExpect, 417},
	"fold":                   {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", http1.ErrHeader, 400},
	"fold by tab":            {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb: c\r\n\r\n", http1.ErrHeader, 400},
	"fold first":             {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", http1.ErrHeader, 400},
	"no name":                {"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", http1.ErrHeader, 400},
	"no colon":               {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", http1.ErrHeader, 400},
	"name is no token":       {"GET / HTTP/1.1\r\nHost: a\r\nX@: y\r\n\r\n", http1.ErrHeader, 400},
	"name beyond ASCII":      {"GET / HTTP/1.1\r\nHost: a\r\nHo\u017ft: y\r\n\r\n", http1.ErrHeader, 400},
	"NUL in value":           {"GET / HTTP/1.1\r\nHost: a\x00", http1.ErrHeader, 400},
	"escape in value":        {"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b", http1.ErrHeader, 400},
	"bare LF":                {"GET / HTTP/1.1\n", http1.ErrLineEnd, 400},
	"bare LF in header":      {"GET / HTTP/1.1\r\nHost: a\n", http1.ErrLineEnd, 400},
	"bare CR":                {"GET / HTTP/1.1\rH", http1.ErrLineEnd, 400},
	"bare CR in value":       {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rT", http1.ErrLineEnd, 400},
	"CR CR LF":               {"GET / HTTP/1.1\r\nHost: a\r\r", http1.ErrLineEnd, 400},
	"empty line first":       {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", http1.ErrStartLine, 400},
	"TLS":                    {"\x16\x03\x01", http1.ErrStartLine, 400},
	"HTTP/0.9":               {"GET /\r\n", http1.ErrStartLine, 400},
	"HTTP/2":                 {"PRI * HTTP/2.0\r\n", http1.ErrVersion, 505},
	"HTTP/1.2":               {"GET / HTTP/1.2\r\n", http1.ErrVersion, 505},
	"version in lower case":  {"GET / http/1.1\r\n", http1.ErrStartLine, 400},
	"long version":           {"GET / HTTP/1.1x\r\n", http1.ErrStartLine, 400},
	"version without digits": {"GET / HTTP/x.y\r\n", http1.ErrStartLine, 400},
	"two spaces":             {"GET  / HTTP/1.1\r\n", http1.ErrStartLine, 400},
	"space at the end":       {"GET / HTTP/1.1 \r\n", http1.ErrStartLine, 400},
	"tab":                    {"GET\t/ HTTP/1.1\r\n", http1.ErrStartLine, 400},
	"space first":            {" GET / HTTP/1.1\r\n", http1.ErrStartLine, 400},
	"method is no token":     {"GE(T / HTTP/1.1\r\n", http1.ErrStartLine, 400},
	"method in lower case":   {"get / HTTP/1.1\r\n", http1.ErrMethod, 501},
	"connect":                {"CONNECT a:1 HTTP/1.1\r\n", http1.ErrMethod, 501},
	"trace":                  {"TRACE / HTTP/1.1\r\n", http1.ErrMethod, 501},
	"absolute form":          {"GET http://a/ HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"authority form":         {"GET a:1 HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"asterisk form":          {"OPTIONS * HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"query alone":            {"GET ?a HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"fragment":               {"GET /a#b HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"fragment after query":   {"GET /a?b#c HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"quote in query":         {"GET /a?b=\"c\" HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"path beyond ASCII":      {"GET /\xc3\xa9 HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"query beyond ASCII":     {"GET /?\xc3\xa9 HTTP/1.1\r\n", http1.ErrBadPath, 400},
	"target too long":        {"GET /" + strings.Repeat("a", 600) + " HTTP/1.1\r\n", http1.ErrTargetTooLong, 414},
	"endless first line":     {strings.Repeat("A", 513), http1.ErrTargetTooLong, 414},
	"head too large":         {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 600), http1.ErrHeadTooLarge, 431},
}

func TestRequestReaderRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			buf := make([]byte, 512)
			for size := 1; size <= min(len(test.in), 20); size++ {
				got, err := readRequest(buf, bySize(test.in, size))
				if err != test.want || http1.StatusOf(err) != test.status {
					t.Fatalf("by %d bytes: %+v, %v; want %v", size, got, err, test.want)
				}
			}
		})
	}
}

func TestRequestReaderRefusesPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/.", "/..", "/./", "/../", "/a/..", "/a/../b", "/a/./b", "/..?a", "/%2e", "/%2E%2e/a", "/.%2e", "/%2e./",
		"/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a\\b", "/a%00", "/a%0d%0a", "/%1f", "/%7f", "/%", "/%4", "/%4g", "/%g4", "/a%",
		"/a\"", "/<", "/>", "/a|b", "/a^b", "/a`b", "/{a}", "/[a]",
	} {
		in := "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
		if got, err := readRequest(make([]byte, 128), [][]byte{[]byte(in)}); err != http1.ErrBadPath {
			t.Errorf("%q: %+v, %v; want ErrBadPath", path, got, err)
		}
	}
}

func TestRequestReaderKeepsNothing(t *testing.T) {
	t.Parallel()
	var r http1.RequestReader
	buf := make([]byte, 256)
	r.Reset(buf)
	first := "POST /a?b HTTP/1.0\r\nHost: a\r\nAuthorization: x\r\nContent-Type: y\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nz"
	if _, done, err := r.Feed([]byte(first)); !done || err != nil {
		t.Fatal(done, err)
	}
	r.Reset(buf)
	if r.Body() != nil || r.KeepAlive() || r.Path() != nil {
		t.Errorf("after Reset: %+v", r)
	}
	if _, done, err := r.Feed([]byte("GET /c HTTP/1.0\r\n\r\n")); !done || err != nil {
		t.Fatal(done, err)
	}
	if r.Host() != nil || r.Authorization() != nil || r.ContentType() != nil || r.Query() != nil || len(r.Body()) != 0 || r.KeepAlive() {
		t.Errorf("kept something: %+v", r)
	}
	if n, done, err := r.Feed([]byte("GET")); n != 0 || !done || err != nil {
		t.Errorf("after the end: n = %d, %v, %v", n, done, err)
	}
}

func TestRequestReaderErrorStays(t *testing.T) {
	t.Parallel()
	var r http1.RequestReader
	r.Reset(make([]byte, 64))
	for range 2 {
		if n, done, err := r.Feed([]byte("\x00GET")); n > 1 || done || err != http1.ErrStartLine {
			t.Errorf("n = %d, %v, %v", n, done, err)
		}
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{nil: 200, errors.New("x"): 500, http1.ErrFull: 500, http1.ErrTruncated: 502, http1.ErrExpect: 417} {
		if got := http1.StatusOf(err); got != want {
			t.Errorf("StatusOf(%v) = %d, want %d", err, got, want)
		}
	}
	if got := http1.ErrExpect.Error(); got != "http1: expectation not supported" {
		t.Errorf("Error() = %q", got)
	}
}

func TestQueryValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		query, name, want string
		ok                bool
	}{
		{"a=1&b=2", "b", "2", true}, {"a=1&a=2", "a", "1", true}, {"a=1", "b", "", false}, {"", "a", "", false},
		{"a", "a", "", true}, {"a=", "a", "", true}, {"&&a=1&", "a", "1", true}, {"ab=1&a=2", "a", "2", true}, {"a=1", "ab", "", false},
		{"a=b+c%20d%2B%c3%A9", "a", "b c d+é", true}, {"a=b=c", "a", "b=c", true}, {"%61=1", "a", "1", true}, {"a+b=1", "a b", "1", true},
		{"a=%", "a", "", false}, {"a=%4", "a", "", false}, {"a=%zz", "a", "", false}, {"%zz=1&a=2", "a", "2", true},
		{"a=12345678", "a", "12345678", true}, {"a=123456789", "a", "", false}, {"=1", "", "1", true}, {"", "", "", false},
	}
	for _, test := range tests {
		got, ok := http1.QueryValue(make([]byte, 3, 8), []byte(test.query), test.name)
		if string(got) != test.want || ok != test.ok {
			t.Errorf("QueryValue(%q, %q) = %q, %v; want %q, %v", test.query, test.name, got, ok, test.want, test.ok)
		}
	}
}

var scrape = []byte("GET /metrics?format=text HTTP/1.1\r\nHost: 10.0.0.7:10250\r\nUser-Agent: Prometheus/3.5.0\r\n" +
	"Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5\r\nAccept-Encoding: gzip\r\n" +
	"Authorization: Bearer 0123456789abcdef\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n")

func readScrape(r *http1.RequestReader, buf []byte) error {
	r.Reset(buf)
	n, done, err := r.Feed(scrape)
	if n != len(scrape) || !done {
		return fmt.Errorf("n = %d of %d, %v, %w", n, len(scrape), done, err)
	}
	var value [16]byte
	if v, ok := http1.QueryValue(value[:], r.Query(), "format"); !ok || len(v) != 4 {
		return errors.New("query value not found")
	}
	return err
}

func TestRequestReaderAllocatesNothing(t *testing.T) {
	var r http1.RequestReader
	buf := make([]byte, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if err := readScrape(&r, buf); err != nil {
			t.Error(err)
		}
		r.Reset(buf[:64])
		if _, _, err := r.Feed(scrape); http1.StatusOf(err) != 431 {
			t.Error(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkRequestReader(b *testing.B) {
	var r http1.RequestReader
	buf := make([]byte, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(len(scrape)))
	for b.Loop() {
		if err := readScrape(&r, buf); err != nil {
			b.Fatal(err)
		}
	}
}
