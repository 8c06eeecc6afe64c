// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/picolet/picolet/kubelet/http1"
)

// response is what a ResponseReader makes of a stream.
type response struct {
	status, retryAfter         int
	body, date, etag           string
	close, bound, report, done bool
	rest                       int // bytes that were not consumed
	err                        error
}

// readResponse feeds the pieces, each in memory of its own, and then the end of
// the stream if that is what the body waits for.
func readResponse(method string, pieces [][]byte) (got response) {
	var r http1.ResponseReader
	r.Reset(method)
	state := http1.ReadingHead
	for _, piece := range pieces {
		piece = bytes.Clone(piece)
		rest := piece
		for len(rest) > 0 && state != http1.Done && got.err == nil {
			var body []byte
			var n int
			body, n, state, got.err = r.Feed(rest)
			got.body += string(body)
			rest = rest[n:]
			if n == 0 {
				panic("no progress")
			}
		}
		got.rest += len(rest)
		clear(piece)
	}
	if got.err == nil {
		got.err = r.End()
	}
	got.status, got.retryAfter, got.close = r.Status, r.RetryAfter, r.Close
	got.date, got.etag, got.bound, got.done = string(r.DateText()), string(r.ETagText()), r.Bound, state == http1.Done
	got.report = r.Report
	return got
}

func bySize(in string, size int) [][]byte {
	return slices.Collect(slices.Chunk([]byte(in), size))
}

// cut splits in at random places.
func cut(in []byte, seed uint64) (pieces [][]byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	for len(in) > 0 {
		n := min(random.IntN(16), len(in))
		pieces = append(pieces, in[:n])
		in = in[n:]
	}
	return pieces
}

const ok = "HTTP/1.1 200 OK\r\n"

func TestResponseReaderAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method string
		in     string
		want   response
	}{
		"content length": {"GET", ok + "Content-Length: 5\r\n\r\nhello", response{status: 200, body: "hello", done: true}},
		"name in any case": {"GET", ok + "cOnTeNt-LeNgTh:5 \t\r\ndATE:\tFri, 02 Jan 2026 03:04:05 GMT\r\n\r\nhello",
			response{status: 200, body: "hello", done: true, date: "Fri, 02 Jan 2026 03:04:05 GMT"}},
		"repeated length":      {"GET", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", response{status: 200, body: "hello", done: true}},
		"no body":              {"GET", ok + "Content-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"next is left":         {"GET", ok + "Content-Length: 2\r\n\r\nhiHTTP/1.1", response{status: 200, body: "hi", done: true, rest: 8}},
		"head":                 {"HEAD", ok + "Content-Length: 5\r\n\r\n", response{status: 200, done: true}},
		"chunked head":         {"HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", response{status: 200, done: true}},
		"no content":           {"GET", "HTTP/1.1 204 No Content\r\n\r\nx", response{status: 204, done: true, rest: 1}},
		"not modified":         {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", response{status: 304, done: true}},
		"until close":          {"GET", ok + "\r\nto the end", response{status: 200, body: "to the end", close: true}},
		"until close, empty":   {"GET", ok + "\r\n", response{status: 200, close: true}},
		"connection close":     {"GET", ok + "Connection: a, Close ,b\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true, close: true}},
		"connection kept":      {"GET", ok + "Connection: keep-alive\r\nConnection: closed\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"HTTP/1.0":             {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", response{status: 200, body: "x", done: true, close: true}},
		"empty reason":         {"GET", "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", response{status: 500, done: true}},
		"no reason":            {"GET", "HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n", response{status: 500, done: true}},
		"odd status":           {"GET", "HTTP/1.1 599 \x80 odd\treason\r\nContent-Length: 0\r\n\r\n", response{status: 599, done: true}},
		"interim":              {"GET", "HTTP/1.1 100 Continue\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 9\r\n\r\nHTTP/1.1 103 \r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", response{status: 200, body: "x", done: true}},
		"retry after":          {"GET", "HTTP/1.1 429 \r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n", response{status: 429, retryAfter: 17, done: true}},
		"retry after a day":    {"GET", "HTTP/1.1 429 \r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n", response{status: 429, retryAfter: 3600, done: true}},
		"retry after a date":   {"GET", "HTTP/1.1 503 \r\nRetry-After: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Length: 0\r\n\r\n", response{status: 503, done: true}},
		"empty retry after":    {"GET", "HTTP/1.1 503 \r\nRetry-After:\r\nContent-Length: 0\r\n\r\n", response{status: 503, done: true}},
		"date of another form": {"GET", ok + "Date: Friday, 02-Jan-26 03:04:05 GMT\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"entity tag":           {"PATCH", "HTTP/1.1 204 \r\nETag: \"18446744073709551615\"\r\n\r\n", response{status: 204, etag: "18446744073709551615", done: true}},
		"empty entity tag":     {"PATCH", "HTTP/1.1 204 \r\nETag: \"\"\r\n\r\n", response{status: 204, done: true}},
		"long entity tag":      {"PATCH", "HTTP/1.1 204 \r\nETag: \"184467440737095516150\"\r\n\r\n", response{status: 204, done: true}},
		"weak entity tag":      {"PATCH", "HTTP/1.1 204 \r\nETag: W/\"7\"\r\n\r\n", response{status: 204, done: true}},
		"bare entity tag":      {"PATCH", "HTTP/1.1 204 \r\nETag: 7\r\n\r\n", response{status: 204, done: true}},
		"half an entity tag":   {"PATCH", "HTTP/1.1 204 \r\nETag: \"\r\n\r\n", response{status: 204, done: true}},
		"two entity tags":      {"PATCH", "HTTP/1.1 204 \r\nETag: \"7\", \"8\"\r\n\r\n", response{status: 204, done: true}},
		"tag of an interim":    {"PATCH", "HTTP/1.1 103 \r\nETag: \"7\"\r\nPicolet-Node: a\r\n\r\nHTTP/1.1 204 \r\n\r\n", response{status: 204, done: true}},
		"bound":                {"GET", ok + "picolet-node: pico-1\r\nConnection: Picolet-Node\r\nContent-Length: 0\r\n\r\n", response{status: 200, bound: true, done: true}},
		"bound, list first":    {"GET", ok + "connection: keep-alive, picolet-NODE\r\nConnection: x\r\nPicolet-Node: a\r\nContent-Length: 0\r\n\r\n", response{status: 200, bound: true, done: true}},
		"asks for a report":    {"GET", ok + "Picolet-Report: status\r\nContent-Length: 0\r\n\r\n", response{status: 200, report: true, done: true}},
		"asks in an interim":   {"GET", "HTTP/1.1 103 \r\nPicolet-Report: status\r\n\r\n" + ok + "Picolet-Report: Status\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"bound to nothing":     {"GET", ok + "Connection: Picolet-Node\r\nPicolet-Node:\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"bound beyond a proxy": {"GET", ok + "Connection: keep-alive\r\nPicolet-Node: pico-1\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"bound by an interim":  {"GET", "HTTP/1.1 103 \r\nConnection: Picolet-Node\r\n\r\n" + ok + "Picolet-Node: pico-1\r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
		"chunks":               {"GET", ok + "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n006\r\n world\r\n0\r\n\r\nHTTP", response{status: 200, body: "hello world", done: true, rest: 4}},
		"hexadecimal chunk":    {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\na\r\n0123456789\r\n0\r\n\r\n", response{status: 200, body: "abcdefghijklmnopqrstuvwxyz0123456789", done: true}},
		"extensions":           {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n2; q=\"x;y\"\r\n!!\r\n0;last\r\n\r\n", response{status: 200, body: "hi!!", done: true}},
		"trailers":             {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nX: y\r\n\r\n", response{status: 200, body: "x", done: true}},
		"no chunks":            {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", response{status: 200, done: true}},
		"long fields":          {"GET", ok + "X-Long: " + strings.Repeat("v", 150) + "\r\n" + strings.Repeat("N", 150) + ": x\r\nContent-Length: 1\r\n\r\nx", response{status: 200, body: "x", done: true}},
		"long reason":          {"GET", "HTTP/1.1 200 " + strings.Repeat("r", 150) + "\r\nContent-Length: 1\r\n\r\nx", response{status: 200, body: "x", done: true}},
		"empty value":          {"GET", ok + "X:\r\nY: \t \r\nContent-Length: 0\r\n\r\n", response{status: 200, done: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.want.retryAfter == 0 {
				test.want.retryAfter = -1
			}
			for size := 1; size <= len(test.in); size++ {
				if got := readResponse(test.method, bySize(test.in, size)); got != test.want {
					t.Fatalf("by %d bytes:\n got %+v\nwant %+v", size, got, test.want)
				}
			}
			for split := range len(test.in) {
				pieces := [][]byte{[]byte(test.in[:split]), []byte(test.in[split:])}
				if got := readResponse(test.method, pieces); got != test.want {
					t.Fatalf("split at %d:\n got %+v\nwant %+v", split, got, test.want)
				}
			}
			checkTruncated(t, test.method, test.in[:len(test.in)-test.want.rest], test.want.done)
		})
	}
}

// checkTruncated ends the stream after each prefix of a response.
func checkTruncated(t *testing.T, method, in string, delimited bool) {
	t.Helper()
	head := strings.Index(in, "\r\n\r\n") + 4
	for size := range len(in) {
		err := readResponse(method, [][]byte{[]byte(in[:size])}).err
		if size < head || delimited {
			if err != http1.ErrTruncated {
				t.Fatalf("ends after %d bytes: %v, want ErrTruncated", size, err)
			}
		} else if err != nil {
			t.Fatalf("ends after %d bytes: %v", size, err)
		}
	}
}

func TestResponseReaderRefuses(t *testing.T) {
	t.Parallel()
	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	tests := map[string]struct {
		in   string
		want error
	}{
		"CL.TE":                   {ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", http1.ErrSmuggling},
		"TE.CL":                   {ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", http1.ErrSmuggling},
		"both in an interim":      {"HTTP/1.1 100 \r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", http1.ErrSmuggling},
		"TE.TE":                   {ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrTransferEncoding},
		"TE list":                 {ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", http1.ErrTransferEncoding},
		"TE identity":             {ok + "Transfer-Encoding: identity\r\n\r\n", http1.ErrTransferEncoding},
		"TE disguised":            {ok + "Transfer-Encoding: xchunked\r\n\r\n", http1.ErrTransferEncoding},
		"TE empty":                {ok + "Transfer-Encoding:\r\n\r\n", http1.ErrTransferEncoding},
		"TE of HTTP/1.0":          {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrTransferEncoding},
		"lengths differ":          {ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", http1.ErrContentLength},
		"lengths written apart":   {ok + "Content-Length: 1\r\nContent-Length: 01\r\n\r\nx", http1.ErrContentLength},
		"length list":             {ok + "Content-Length: 5, 5\r\n\r\n", http1.ErrContentLength},
		"length signed":           {ok + "Content-Length: +5\r\n\r\n", http1.ErrContentLength},
		"length negative":         {ok + "Content-Length: -5\r\n\r\n", http1.ErrContentLength},
		"length in hex":           {ok + "Content-Length: 0x5\r\n\r\n", http1.ErrContentLength},
		"length empty":            {ok + "Content-Length:\r\n\r\n", http1.ErrContentLength},
		"length with space":       {ok + "Content-Length: 5 5\r\n\r\n", http1.ErrContentLength},
		"length too large":        {ok + "Content-Length: 1000000000\r\n\r\n", http1.ErrContentLength},
		"length overflows":        {ok + "Content-Length: 18446744073709551621\r\n\r\n", http1.ErrContentLength},
		"space before colon":      {ok + "Content-Length : 5\r\n\r\n", http1.ErrHeader},
		"tab before colon":        {ok + "X\t: 5\r\n\r\n", http1.ErrHeader},
		"fold":                    {ok + "X: a\r\n b\r\n\r\n", http1.ErrHeader},
		"fold at once":            {ok + " X: a\r\n\r\n", http1.ErrHeader},
		"no name":                 {ok + ": a\r\n\r\n", http1.ErrHeader},
		"no colon":                {ok + "X\r\n\r\n", http1.ErrLineEnd},
		"name is no token":        {ok + "X(: a\r\n\r\n", http1.ErrHeader},
		"name beyond ASCII":       {ok + "X\xe9: a\r\n\r\n", http1.ErrHeader},
		"NUL in value":            {ok + "X: a\x00b\r\n\r\n", http1.ErrHeader},
		"DEL in value":            {ok + "X: \x7f\r\n\r\n", http1.ErrHeader},
		"bare LF in value":        {ok + "X: a\nContent-Length: 5\r\n\r\n", http1.ErrLineEnd},
		"bare CR in value":        {ok + "X: a\rb\r\n\r\n", http1.ErrLineEnd},
		"bare LF ends the head":   {ok + "X: a\r\n\n", http1.ErrLineEnd},
		"bare CR ends the head":   {ok + "\rX", http1.ErrLineEnd},
		"bare LF in status line":  {"HTTP/1.1 200 OK\n\r\n", http1.ErrLineEnd},
		"bare LF after code":      {"HTTP/1.1 200\n\r\n", http1.ErrLineEnd},
		"bare CR in status line":  {"HTTP/1.1 200 O\rK\r\n", http1.ErrLineEnd},
		"needed field too long":   {ok + "Connection: " + strings.Repeat("x", 129) + "\r\n\r\n", http1.ErrHeader},
		"head too large":          {ok + strings.Repeat("X: "+strings.Repeat("v", 95)+"\r\n", 82) + "\r\n", http1.ErrHeadTooLarge},
		"endless line":            {ok + "X: " + strings.Repeat("v", 9000), http1.ErrHeadTooLarge},
		"endless interims":        {strings.Repeat("HTTP/1.1 100 \r\n\r\n", 500), http1.ErrHeadTooLarge},
		"empty line first":        {"\r\n" + ok, http1.ErrStartLine},
		"not HTTP":                {"SSH-2.0-OpenSSH_9.9 x\r\n", http1.ErrStartLine},
		"TLS":                     {"\x15\x03\x01\x00\x02\x02\x46", http1.ErrStartLine},
		"lower case":              {"http/1.1 200 OK\r\n", http1.ErrStartLine},
		"HTTP/2":                  {"HTTP/2.0 200 OK\r\n", http1.ErrVersion},
		"HTTP/1.2":                {"HTTP/1.2 200 OK\r\n", http1.ErrVersion},
		"long version":            {"HTTP/1.10 200 OK\r\n", http1.ErrStartLine},
		"four digits":             {"HTTP/1.1 2000 OK\r\n", http1.ErrStartLine},
		"two digits":              {"HTTP/1.1 20 OK\r\n", http1.ErrStartLine},
		"tab for space":           {"HTTP/1.1\t200 OK\r\n", http1.ErrStartLine},
		"no code":                 {"HTTP/1.1 abc OK\r\n", http1.ErrStartLine},
		"switching protocols":     {"HTTP/1.1 101 \r\n\r\n", http1.ErrStatus},
		"code too small":          {"HTTP/1.1 099 \r\n\r\n", http1.ErrStatus},
		"code too large":          {"HTTP/1.1 600 \r\n\r\n", http1.ErrStatus},
		"no chunk size":           {chunked + "\r\n", http1.ErrChunk},
		"extension but no size":   {chunked + ";a\r\n", http1.ErrChunk},
		"chunk size signed":       {chunked + "-1\r\n", http1.ErrChunk},
		"chunk size prefixed":     {chunked + "0x5\r\nhello", http1.ErrChunk},
		"chunk size in the dark":  {chunked + " 5\r\nhello", http1.ErrChunk},
		"chunk of 2 GiB":          {chunked + "80000000\r\n", http1.ErrChunk},
		"chunk of 16 digits":      {chunked + "ffffffffffffffff\r\n", http1.ErrChunk},
		"chunk size wraps to 5":   {chunked + "10000000000000005\r\nhello", http1.ErrChunk},
		"chunk size of zeros":     {chunked + "000000005\r\nhello", http1.ErrChunk},
		"space before extension":  {chunked + "5 ;a\r\nhello", http1.ErrChunk},
		"space after chunk size":  {chunked + "5 \r\nhello", http1.ErrChunk},
		"bare LF after size":      {chunked + "5\nhello", http1.ErrChunk},
		"bare CR after size":      {chunked + "5\rhello", http1.ErrChunk},
		"bare LF in extension":    {chunked + "5;a\nb\r\nhello", http1.ErrChunk},
		"NUL in extension":        {chunked + "5;\x00\r\nhello", http1.ErrChunk},
		"long extension":          {chunked + "5;" + strings.Repeat("e", 255) + "\r\nhello", http1.ErrChunk},
		"chunk longer than said":  {chunked + "5\r\nhello!\r\n", http1.ErrChunk},
		"other byte for CR":       {chunked + "5\r\nhello!\n0\r\n\r\n", http1.ErrChunk},
		"bare LF after data":      {chunked + "5\r\nhello\n0\r\n\r\n", http1.ErrChunk},
		"bare LF ends trailer":    {chunked + "0\r\n\n", http1.ErrLineEnd},
		"fold in trailer":         {chunked + "0\r\nX: a\r\n b\r\n\r\n", http1.ErrHeader},
		"trailer section too big": {chunked + "0\r\nX: " + strings.Repeat("v", 8200) + "\r\n\r\n", http1.ErrHeadTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size <= min(len(test.in), 20); size++ {
				got := readResponse("GET", bySize(test.in, size))
				if got.err != test.want {
					t.Fatalf("by %d bytes: %+v, want %v", size, got, test.want)
				}
			}
		})
	}
}

func TestResponseReaderSequence(t *testing.T) {
	t.Parallel()
	in := []byte(ok + "Retry-After: 5\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" +
		"HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nb")
	var r http1.ResponseReader
	for i, want := range []struct {
		status, retryAfter, date int
		body                     string
		close                    bool
	}{{200, 5, 29, "a", true}, {404, -1, 0, "b", false}} {
		r.Reset("GET")
		if r.HeadDone() {
			t.Errorf("%d: head done after Reset", i)
		}
		var body string
		for state := http1.ReadingHead; state != http1.Done; {
			piece, n, now, err := r.Feed(in)
			if err != nil || n == 0 {
				t.Fatalf("%d: n = %d, %v", i, n, err)
			}
			body += string(piece)
			in, state = in[n:], now
		}
		if !r.HeadDone() || r.Status != want.status || r.RetryAfter != want.retryAfter || len(r.DateText()) != want.date || r.Close != want.close || body != want.body {
			t.Errorf("%d: %+v, body %q", i, r, body)
		}
		if _, n, state, err := r.Feed([]byte("HTTP")); n != 0 || state != http1.Done || err != nil {
			t.Errorf("%d: after the end n = %d, %v, %v", i, n, state, err)
		}
	}
}

func TestResponseReaderErrorStays(t *testing.T) {
	t.Parallel()
	var r http1.ResponseReader
	r.Reset("GET")
	for range 2 {
		if _, _, _, err := r.Feed([]byte("\x00" + ok)); err != http1.ErrStartLine {
			t.Errorf("Feed: %v", err)
		}
		if err := r.End(); err != http1.ErrStartLine {
			t.Errorf("End: %v", err)
		}
		if r.HeadDone() {
			t.Error("head done")
		}
	}
}

func TestReaderSizes(t *testing.T) {
	t.Parallel()
	response, request := unsafe.Sizeof(http1.ResponseReader{}), unsafe.Sizeof(http1.RequestReader{})
	t.Logf("ResponseReader %d bytes, RequestReader %d bytes", response, request)
	if response > 400 || request > 200 {
		t.Errorf("ResponseReader has %d bytes of 400, RequestReader %d of 200", response, request)
	}
}

var leaseAnswer = []byte("HTTP/1.1 200 OK\r\nAudit-Id: 6f7c9a0e-8a57-4d1c-9d3a-0c2c1f6f7d11\r\nCache-Control: no-cache, private\r\nContent-Type: application/json\r\n" +
	"X-Kubernetes-Pf-Flowschema-Uid: 4b8c3f7e-66f1-4f60-9f0c-52a8d1a2a0b7\r\nX-Kubernetes-Pf-Prioritylevel-Uid: 0d6f4dbb-8b8d-4c51-8a7e-5ed5a54a2a55\r\n" +
	"Date: Fri, 02 Jan 2026 03:04:05 GMT\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 0x400) + "\r\n0\r\n\r\n")

func feedAll(r *http1.ResponseReader, in []byte) error {
	r.Reset("PUT")
	for {
		_, n, state, err := r.Feed(in)
		if err != nil || state == http1.Done {
			return err
		}
		in = in[n:]
		if len(in) == 0 {
			return r.End()
		}
	}
}

func TestResponseReaderAllocatesNothing(t *testing.T) {
	var r http1.ResponseReader
	if n := testing.AllocsPerRun(100, func() {
		if err := feedAll(&r, leaseAnswer); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkResponseReader(b *testing.B) {
	var r http1.ResponseReader
	b.ReportAllocs()
	b.SetBytes(int64(len(leaseAnswer)))
	for b.Loop() {
		if err := feedAll(&r, leaseAnswer); err != nil {
			b.Fatal(err)
		}
	}
}
