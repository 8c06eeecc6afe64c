// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build tinygo

package kubelet

import (
	"io"
	"runtime"
	"time"

	"github.com/picolet/picolet/kubelet/http1"
)

// TinyGo has no net/http: there, the core's own readers take its place.

func parseRequest(raw []byte) (request, error) {
	var r http1.RequestReader
	r.Reset(make([]byte, len(raw)))
	n, done, err := r.Feed(raw)
	if err == nil && (!done || n != len(raw)) {
		err = io.ErrUnexpectedEOF
	}
	uri := string(r.Path())
	if query := r.Query(); len(query) > 0 {
		uri += "?" + string(query)
	}
	return request{string(r.Method()), uri, string(r.ContentType()), r.Body()}, err
}

// allocsPerRun counts what f takes from the heap. TinyGo's testing.AllocsPerRun
// always says 0.
func allocsPerRun(runs int, f func()) float64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs)
}

// get asks the kubelet port and returns the code and the body.
func (r *rig) get(path string) (code int, body []byte) {
	r.t.Helper()
	r.now += 100 * time.Millisecond // keeps within the rate limit
	s, ok := r.k.Accept(r.now)
	if !ok {
		r.t.Fatal("the kubelet port accepts nobody")
	}
	var answer http1.ResponseReader
	answer.Reset("GET")
	r.k.Receive(r.now, s, []byte("GET "+path+" HTTP/1.1\r\nHost: pico-1\r\n\r\n"))
	for p := r.k.Pending(s); len(p) > 0; p = r.k.Pending(s) {
		piece, n, _, err := answer.Feed(p)
		if err != nil || n == 0 {
			r.t.Fatalf("GET %s: %v after\n%s", path, err, body)
		}
		body = append(body, piece...)
		r.k.Sent(r.now, s, n)
	}
	r.k.Closed(r.now, s, nil)
	r.out = r.k.Output()
	return answer.Status, body
}
