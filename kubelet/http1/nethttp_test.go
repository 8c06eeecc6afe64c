// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package http1_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/http1"
)

// What this package writes, net/http reads; TinyGo has none.

func referenceReadsRequest(t *testing.T, text string, head *http1.RequestHead) {
	t.Helper()
	parsed, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || parsed.Method != head.Method || parsed.Host != head.Host {
		t.Fatalf("net/http reads %+v, %v", parsed, err)
	}
	for _, param := range head.Query {
		if value := param.Value + param.Suffix + string(param.Bytes); param.Name != "" && parsed.URL.Query().Get(param.Name) != value {
			t.Errorf("parameter %q is %q, want %q", param.Name, parsed.URL.Query().Get(param.Name), value)
		}
	}
}

// referenceReadsResponse compares the body only if one is wanted.
func referenceReadsResponse(t *testing.T, text string, status int, body string) {
	t.Helper()
	parsed, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil || parsed.StatusCode != status {
		t.Fatalf("net/http reads %+v, %v", parsed, err)
	}
	defer parsed.Body.Close()
	if body == "" {
		return
	}
	if got, err := io.ReadAll(parsed.Body); err != nil || string(got) != body {
		t.Errorf("net/http reads %d bytes, want %d: %v", len(got), len(body), err)
	}
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	renamed := map[int]string{413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"} // by RFC 9110
	known := 0
	for code := range 1000 {
		got, want := http1.StatusText(code), http.StatusText(code)
		if renamed[code] != "" {
			want = renamed[code]
		}
		if got != "" {
			known++
			if got != want {
				t.Errorf("StatusText(%d) = %q, want %q", code, got, want)
			}
		}
	}
	if known < 30 {
		t.Errorf("only %d codes have a text", known)
	}
	for _, test := range refused {
		if http1.StatusText(test.status) == "" {
			t.Errorf("no text for %d", test.status)
		}
	}
}

// FuzzQueryValue compares with net/url where that accepts the query.
func FuzzQueryValue(f *testing.F) {
	f.Fuzz(func(t *testing.T, query []byte, name string) {
		got, ok := http1.QueryValue(make([]byte, len(query)), query, name)
		values, err := url.ParseQuery(string(query))
		if err == nil && (ok != values.Has(name) || string(got) != values.Get(name)) {
			t.Fatalf("QueryValue(%q, %q) = %q, %v; want %q", query, name, got, ok, values[name])
		}
	})
}
