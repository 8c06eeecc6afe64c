// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzResponseReader compares with net/http: whatever is accepted here is
// accepted there, with the same body and the same end, however it is cut.
func FuzzResponseReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte, head bool, seed uint64) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		got := readResponse(method, cut(in, seed))
		if whole := readResponse(method, [][]byte{in}); got != whole {
			t.Fatalf("%q:\n  cut %+v\nwhole %+v", in, got, whole)
		}
		if got.err != nil {
			return
		}
		want, rest, err := referenceResponse(method, in)
		if err != nil {
			t.Fatalf("%q: accepted %+v, but net/http says %v", in, got, err)
		}
		if got.status != want.status || got.body != want.body || want.close && !got.close {
			t.Fatalf("%q:\n got %+v\nwant %+v", in, got, want)
		}
		if got.done && got.rest != rest {
			t.Fatalf("%q: ends %d bytes before the end, want %d", in, got.rest, rest)
		}
	})
}

// referenceResponse reads by net/http and returns what it left over, too.
func referenceResponse(method string, in []byte) (got response, rest int, err error) {
	source := bytes.NewReader(in)
	reader := bufio.NewReader(source)
	for {
		parsed, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return got, 0, err
		}
		body, err := io.ReadAll(parsed.Body)
		if parsed.StatusCode >= 200 || err != nil {
			got = response{status: parsed.StatusCode, body: string(body), close: parsed.Close}
			return got, reader.Buffered() + source.Len(), err
		}
	}
}

// FuzzRequestReader compares with net/http: whatever is accepted here is accepted
// there, as the same request with the same end, however it is cut.
func FuzzRequestReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		buf := make([]byte, 1024)
		got, err := readRequest(buf, cut(in, seed))
		if whole, wholeErr := readRequest(buf, [][]byte{in}); got != whole || err != wholeErr {
			t.Fatalf("%q:\n  cut %+v, %v\nwhole %+v, %v", in, got, err, whole, wholeErr)
		}
		if !got.done {
			return
		}
		checkPath(t, got.path)
		want, err := referenceRequest(in)
		if err != nil {
			t.Fatalf("%q: accepted %+v, but net/http says %v", in, got, err)
		}
		want.hasQuery, want.hasContent = got.hasQuery, got.hasContent
		if got != want {
			t.Fatalf("%q:\n got %+v\nwant %+v", in, got, want)
		}
	})
}

// referenceRequest reads by net/http.
func referenceRequest(in []byte) (request, error) {
	source := bytes.NewReader(in)
	reader := bufio.NewReader(source)
	parsed, err := http.ReadRequest(reader)
	if err != nil {
		return request{}, err
	}
	body, err := io.ReadAll(parsed.Body)
	path, _, _ := strings.Cut(parsed.RequestURI, "?")
	return request{
		method: parsed.Method, path: path, query: parsed.URL.RawQuery,
		host: parsed.Host, authorization: parsed.Header.Get("Authorization"), contentType: parsed.Header.Get("Content-Type"),
		body: string(body), keepAlive: !parsed.Close, http10: parsed.ProtoMinor == 0,
		done: true, rest: reader.Buffered() + source.Len(),
	}, err
}

// checkPath decodes an accepted path: that must not move it in the tree.
func checkPath(t *testing.T, path string) {
	t.Helper()
	decoded, err := url.PathUnescape(path)
	segments := strings.Split(decoded, "/")
	switch {
	case err != nil, path[0] != '/', strings.ContainsAny(decoded, "\\\x00\r\n"),
		slices.Contains(segments, "."), slices.Contains(segments, ".."),
		len(segments) != strings.Count(path, "/")+1:
		t.Fatalf("path %q is accepted, decoded %q, %v", path, decoded, err)
	}
}
