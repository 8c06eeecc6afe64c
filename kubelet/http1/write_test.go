// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/http1"
)

// checkAppend calls appendTo with all capacities up to the one that is enough:
// dst must come back as it was, and nothing be written past its capacity.
func checkAppend(t *testing.T, want string, appendTo func([]byte) ([]byte, error)) {
	t.Helper()
	const before = "before"
	for room := range len(want) + 1 {
		size := len(before) + room
		memory := append([]byte(before), strings.Repeat("#", room+8)...)
		dst := memory[:len(before):size]
		got, err := appendTo(dst)
		if string(memory[size:]) != "########" || &got[0] != &memory[0] {
			t.Fatalf("room %d of %d: wrote past the buffer, or grew it", room, len(want))
		}
		if room < len(want) && (err != http1.ErrFull || string(got) != before) {
			t.Fatalf("room %d of %d: %q, %v; want ErrFull", room, len(want), got, err)
		}
		if room == len(want) && (err != nil || string(got) != before+want) {
			t.Fatalf("got %q, %v\nwant %q", got, err, before+want)
		}
	}
}

func TestRequestHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		head http1.RequestHead
		want string
	}{
		"least": {http1.RequestHead{Method: "GET", Path: [5]string{"/"}, Host: "a", ContentLength: -1}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"all": {http1.RequestHead{
			Method: "PATCH", Path: [5]string{"/api/v1/nodes/", "pico-1", "/status"}, Host: "10.0.0.1:6080",
			UserAgent: "picolet/v1", Accept: "application/json", ContentType: "application/merge-patch+json", Authorization: "Bearer x", Prefer: "return=minimal",
			Extra: [2]http1.Field{{Name: "Picolet-Node", Value: "1"}, {Name: "X-B", Value: "2"}}, ContentLength: 1234567890, Close: true,
		}, "PATCH /api/v1/nodes/pico-1/status HTTP/1.1\r\nHost: 10.0.0.1:6080\r\nUser-Agent: picolet/v1\r\nAccept: application/json\r\n" +
			"Authorization: Bearer x\r\nContent-Type: application/merge-patch+json\r\nPrefer: return=minimal\r\nPicolet-Node: 1\r\nX-B: 2\r\nContent-Length: 1234567890\r\nConnection: close\r\n\r\n"},
		"query": {http1.RequestHead{
			Method: "GET", Path: [5]string{"/api/v1/namespaces/", "default", "/configmaps"}, Host: "a", ContentLength: 0,
			Query: [5]http1.Param{
				{Name: "fieldSelector", Value: "metadata.name=", Suffix: "pico-config"}, {Name: "watch", Value: "true"},
				{Name: "resourceVersion", Bytes: []byte("1&\xff \r\n")}, {Name: "-._~", Value: "-._~/"},
			},
		}, "GET /api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dpico-config&watch=true&resourceVersion=1%26%FF%20%0D%0A&-._~=-._~%2F HTTP/1.1\r\n" +
			"Host: a\r\nContent-Length: 0\r\n\r\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkAppend(t, test.want, test.head.AppendTo)
			referenceReadsRequest(t, test.want, &test.head)
		})
	}
}

func TestRequestHeadRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(h *http1.RequestHead)
		want   error
	}{
		"no method":           {func(h *http1.RequestHead) { h.Method = "" }, http1.ErrStartLine},
		"method with space":   {func(h *http1.RequestHead) { h.Method = "GET /x" }, http1.ErrStartLine},
		"no path":             {func(h *http1.RequestHead) { h.Path[0] = "" }, http1.ErrBadPath},
		"relative path":       {func(h *http1.RequestHead) { h.Path[0] = "a" }, http1.ErrBadPath},
		"path with space":     {func(h *http1.RequestHead) { h.Path[1] = "a b" }, http1.ErrBadPath},
		"path with CRLF":      {func(h *http1.RequestHead) { h.Path[4] = "a\r\nX: y" }, http1.ErrBadPath},
		"path with query":     {func(h *http1.RequestHead) { h.Path[1] = "a?b" }, http1.ErrBadPath},
		"dot segments":        {func(h *http1.RequestHead) { h.Path[1] = ".."; h.Path[2] = "/a" }, http1.ErrBadPath},
		"dots in two pieces":  {func(h *http1.RequestHead) { h.Path[1] = "."; h.Path[2] = "%2e" }, http1.ErrBadPath},
		"encoded slash":       {func(h *http1.RequestHead) { h.Path[1] = "%2f" }, http1.ErrBadPath},
		"no host":             {func(h *http1.RequestHead) { h.Host = "" }, http1.ErrHost},
		"host with CRLF":      {func(h *http1.RequestHead) { h.Host = "a\r\nX: y" }, http1.ErrHost},
		"CR in user agent":    {func(h *http1.RequestHead) { h.UserAgent = "a\rb" }, http1.ErrHeader},
		"LF in accept":        {func(h *http1.RequestHead) { h.Accept = "a\nb" }, http1.ErrHeader},
		"NUL in content type": {func(h *http1.RequestHead) { h.ContentType = "a\x00" }, http1.ErrHeader},
		"CRLF in token":       {func(h *http1.RequestHead) { h.Authorization = "Bearer x\r\n" }, http1.ErrHeader},
		"space around":        {func(h *http1.RequestHead) { h.Authorization = "Bearer " }, http1.ErrHeader},
		"tab first":           {func(h *http1.RequestHead) { h.Authorization = "\tBearer x" }, http1.ErrHeader},
		"extra with CRLF":     {func(h *http1.RequestHead) { h.Extra[0] = http1.Field{Name: "X", Value: "a\r\nb: c"} }, http1.ErrHeader},
		"extra is no token":   {func(h *http1.RequestHead) { h.Extra[0] = http1.Field{Name: "X:", Value: "a"} }, http1.ErrHeader},
		"extra frames":        {func(h *http1.RequestHead) { h.Extra[0] = http1.Field{Name: "transfer-Encoding", Value: "chunked"} }, http1.ErrHeader},
		"second extra length": {func(h *http1.RequestHead) {
			h.Extra = [2]http1.Field{{Name: "X"}, {Name: "CONTENT-LENGTH", Value: "1"}}
		}, http1.ErrHeader},
		"extra host":           {func(h *http1.RequestHead) { h.Extra[0] = http1.Field{Name: "Host", Value: "b"} }, http1.ErrHeader},
		"length below nothing": {func(h *http1.RequestHead) { h.ContentLength = -2 }, http1.ErrContentLength},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := http1.RequestHead{Method: "GET", Path: [5]string{"/"}, Host: "a", ContentLength: -1}
			test.change(&head)
			dst := append(make([]byte, 0, 512), "before"...)
			if got, err := head.AppendTo(dst); err != test.want || string(got) != "before" {
				t.Fatalf("%q, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestResponseHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		head http1.ResponseHead
		want string
	}{
		"kept":        {http1.ResponseHead{Status: 200, ContentLength: 2, KeepAlive: true}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"},
		"closed":      {http1.ResponseHead{Status: 404}, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"chunked":     {http1.ResponseHead{Status: 200, ContentLength: http1.Chunked, KeepAlive: true}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"},
		"until close": {http1.ResponseHead{Status: 200, ContentLength: http1.UntilClose, KeepAlive: true}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
		"no content":  {http1.ResponseHead{Status: 204, ContentLength: 5, KeepAlive: true}, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"},
		"no chunks":   {http1.ResponseHead{Status: 204, ContentLength: http1.Chunked, KeepAlive: true}, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"},
		"nothing until close": {http1.ResponseHead{Status: 204, ContentLength: http1.UntilClose, KeepAlive: true},
			"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"},
		"unknown code": {http1.ResponseHead{Status: 599}, "HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"all": {http1.ResponseHead{Status: 401, ContentType: "application/json", ContentLength: 10, Allow: "GET, HEAD", RetryAfter: "5", WWWAuthenticate: `Bearer realm="a"`, DateUnix: 1767323045},
			"HTTP/1.1 401 Unauthorized\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Type: application/json\r\nAllow: GET, HEAD\r\nRetry-After: 5\r\n" +
				"WWW-Authenticate: Bearer realm=\"a\"\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"},
		"last date":  {http1.ResponseHead{Status: 200, DateUnix: 253402300799}, "HTTP/1.1 200 OK\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"beyond":     {http1.ResponseHead{Status: 200, DateUnix: 253402300800}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		"before all": {http1.ResponseHead{Status: 200, DateUnix: -1}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkAppend(t, test.want, test.head.AppendTo)
			referenceReadsResponse(t, test.want, test.head.Status, "")
		})
	}
}

func TestResponseHeadRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		head http1.ResponseHead
		want error
	}{
		"no status":           {http1.ResponseHead{}, http1.ErrStatus},
		"status too large":    {http1.ResponseHead{Status: 600}, http1.ErrStatus},
		"switching protocols": {http1.ResponseHead{Status: 101}, http1.ErrStatus},
		"length":              {http1.ResponseHead{Status: 200, ContentLength: -3}, http1.ErrContentLength},
		"content type":        {http1.ResponseHead{Status: 200, ContentType: "a\r\nb"}, http1.ErrHeader},
		"allow":               {http1.ResponseHead{Status: 200, Allow: "a\n"}, http1.ErrHeader},
		"retry after":         {http1.ResponseHead{Status: 200, RetryAfter: "\x7f"}, http1.ErrHeader},
		"challenge":           {http1.ResponseHead{Status: 200, WWWAuthenticate: "\x00"}, http1.ErrHeader},
	}
	for name, test := range tests {
		if got, err := test.head.AppendTo(make([]byte, 0, 512)); err != test.want || len(got) != 0 {
			t.Errorf("%s: %q, %v; want %v", name, got, err, test.want)
		}
	}
}

// appendChunk appends data as one chunk, or nothing. One that is longer than
// SealChunk frames is written out, as a server may send it.
func appendChunk(dst, data []byte) ([]byte, error) {
	switch {
	case len(data) == 0:
		return dst, nil
	case len(data) > 0xfff:
		return fmt.Appendf(dst, "%x\r\n%s\r\n", len(data), data), nil
	}
	rest := dst[len(dst):]
	chunk, err := http1.SealChunk(rest, len(append(http1.ChunkBody(rest), data...)))
	return dst[:len(dst)+len(chunk)], err
}

// TestChunks reads back by both readers what SealChunk frames.
func TestChunks(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 0x1001)
	for _, size := range []int{0, 1, 9, 15, 16, 255, 256, 0xfff, 0x1000, 0x10010} {
		head := http1.ResponseHead{Status: 200, ContentLength: http1.Chunked, KeepAlive: true}
		message, err := head.AppendTo(make([]byte, 0, 2*len(data)))
		for _, part := range [][]byte{data[:size], nil, []byte("end")} {
			if err == nil {
				message, err = appendChunk(message, part)
			}
		}
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		message = append(message, http1.LastChunk...)
		want := string(data[:size]) + "end"
		if got := readResponse("GET", [][]byte{message}); got.err != nil || got.body != want || got.rest != 0 {
			t.Errorf("size %d: %v, %d bytes, %d left", size, got.err, len(got.body), got.rest)
		}
		referenceReadsResponse(t, string(message), 200, want)
	}
}

func TestSealChunk(t *testing.T) {
	t.Parallel()
	for capacity, room := range map[int]int{0: 0, 7: 0, 8: 1, 100: 93, 4102: 4095, 9000: 4095} {
		memory := bytes.Repeat([]byte("#"), capacity+8)
		buf := memory[:0:capacity]
		body := http1.ChunkBody(buf)
		if len(body) != 0 || cap(body) != room {
			t.Errorf("capacity %d: room for %d bytes after %d, want %d", capacity, cap(body), len(body), room)
		}
		if _, err := http1.SealChunk(buf, room+1); err != http1.ErrFull {
			t.Errorf("capacity %d: one byte too many: %v", capacity, err)
		}
		if _, err := http1.SealChunk(buf, -1); err != http1.ErrFull {
			t.Errorf("capacity %d: less than nothing: %v", capacity, err)
		}
		if chunk, err := http1.SealChunk(buf, 0); err != nil || len(chunk) != 0 {
			t.Errorf("capacity %d: empty chunk %q, %v", capacity, chunk, err)
		}
		body = append(body, strings.Repeat("x", room)...)
		checkSealed(t, buf, len(body))
		if string(memory[capacity:]) != "########" {
			t.Errorf("capacity %d: wrote past the buffer", capacity)
		}
	}
}

func checkSealed(t *testing.T, buf []byte, n int) {
	t.Helper()
	chunk, err := http1.SealChunk(buf, n)
	if err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	in := ok + "Transfer-Encoding: chunked\r\n\r\n" + string(chunk) + "0\r\n\r\n"
	if got := readResponse("GET", bySize(in, len(in))); got.err != nil || got.body != strings.Repeat("x", n) {
		t.Errorf("%d bytes: %v, read %d", n, got.err, len(got.body))
	}
}

func appendLease(dst, version []byte) ([]byte, error) {
	head := http1.RequestHead{
		Method: "PATCH", Path: [5]string{"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/", "pico-1"},
		Query: [5]http1.Param{{Name: "resourceVersion", Bytes: version}},
		Host:  "10.0.0.1:6080", UserAgent: "picolet", ContentType: "application/merge-patch+json", ContentLength: 52,
	}
	return head.AppendTo(dst)
}

func appendAnswer(dst, data []byte) ([]byte, error) {
	head := http1.ResponseHead{Status: 200, ContentType: "text/plain", ContentLength: http1.Chunked, KeepAlive: true, DateUnix: 1767323045}
	dst, err := head.AppendTo(dst)
	if err != nil {
		return dst, err
	}
	for range 2 {
		if dst, err = appendChunk(dst, data); err != nil {
			return dst, err
		}
	}
	return append(dst, http1.LastChunk...), nil
}

func TestWritersAllocateNothing(t *testing.T) {
	buf, data := make([]byte, 0, 1024), []byte("data")
	for name, write := range map[string]func(dst, data []byte) ([]byte, error){"request": appendLease, "response": appendAnswer} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := write(buf, data); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	answer, err := appendAnswer(buf, data)
	if got := readResponse("GET", [][]byte{answer}); err != nil || got.body != "datadata" || got.date != "Fri, 02 Jan 2026 03:04:05 GMT" {
		t.Errorf("%q reads as %+v, %v", answer, got, err)
	}
}

func BenchmarkRequestHead(b *testing.B) {
	buf, version := make([]byte, 0, 1024), []byte("81273")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := appendLease(buf, version); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResponseHead(b *testing.B) {
	buf := make([]byte, 0, 1024)
	head := http1.ResponseHead{Status: 200, ContentType: "application/json", ContentLength: 1234, KeepAlive: true, DateUnix: 1767323045}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := head.AppendTo(buf); err != nil {
			b.Fatal(err)
		}
	}
}
