// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package httpserver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/httpserver"
)

// FuzzExchange gives a connection any bytes, in pieces and with sends whose
// sizes plan says. Every response must be one that net/http reads, there must
// be as many as requests, and the server must go on afterwards.
func FuzzExchange(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(received(string(text))), []byte{})
	}
	for _, target := range targets {
		f.Add([]byte(request("GET", target)+request("HEAD", target)+post(target, "body")), []byte{1, 200, 3})
	}
	f.Fuzz(func(t *testing.T, input, plan []byte) {
		x := newFixture(t, unlimited)
		conn := x.accept(t)
		output, closed := x.play(t, conn, input, plan)
		methods, ends := methodsOf(input)
		checkResponses(t, x, output, closed, methods, ends)
		if !closed {
			x.Closed(x.now, conn)
		}
		x.Closed(x.now, conn)
		fresh, _ := x.exchange(x.accept(t), request("GET", "/healthz"), 1, 1)
		if got := parse(t, fresh, "GET")[0]; got.body != "ok" {
			t.Errorf("afterwards: %q", fresh)
		}
	})
}

// received returns what connection 0 receives in a transcript.
func received(transcript string) string {
	var b strings.Builder
	for _, line := range strings.Split(transcript, "\n") {
		if text, ok := strings.CutPrefix(line, "0<"); ok {
			text, cut := strings.CutSuffix(strings.TrimPrefix(text, " "), `\`)
			b.WriteString(text)
			if !cut {
				b.WriteString("\r\n")
			}
		}
	}
	return b.String()
}

// play is exchange with sizes from plan, over and over; empty: all at once.
func (f *fixture) play(t *testing.T, conn int, input, plan []byte) (output []byte, closed bool) {
	step := 0
	size := func(n int) int {
		if len(plan) == 0 || n == 0 {
			return n
		}
		step++
		return min(n, int(plan[step%len(plan)])+1)
	}
	for {
		n := f.Receive(f.now, conn, input[:size(len(input))])
		input = input[n:]
		p := f.Pending(conn)
		if len(p) > httpserver.BufferSize {
			t.Fatalf("%d bytes pending", len(p))
		}
		if len(p) == 0 && len(input) == 0 {
			return output, f.Finishing(conn)
		}
		if len(p) == 0 && n == 0 {
			t.Fatalf("stuck before %.40q", input)
		}
		p = p[:size(len(p))]
		output = append(output, p...)
		f.Sent(f.now, conn, len(p))
	}
}

// methodsOf returns the methods of the requests in input up to the first that
// ends the connection, and whether there is such a one. A request that is
// refused counts, one that is not complete does not.
func methodsOf(input []byte) (methods []string, ends bool) {
	for len(input) > 0 {
		var r http1.RequestReader
		r.Reset(make([]byte, httpserver.BufferSize))
		n, done, err := r.Feed(input)
		if !done && err == nil {
			return methods, false
		}
		methods = append(methods, string(r.Method()))
		if err != nil || !r.KeepAlive() {
			return methods, true
		}
		input = input[n:]
	}
	return methods, false
}

func checkResponses(t *testing.T, x *fixture, output []byte, closed bool, methods []string, ends bool) {
	t.Helper()
	if ends && !closed {
		t.Error("a request that ends the connection did not")
	}
	total := responses(x)
	if total > len(methods) || !closed && total < len(methods) {
		t.Fatalf("%d responses to %d requests, closed %v:\n%s", total, len(methods), closed, output)
	}
	if closed && !bytes.Contains(output, []byte("Connection: close")) && x.Stats().Cut == 0 {
		t.Errorf("closed without a word:\n%s", output)
	}
	for i, got := range parse(t, string(output), methods[:total]...) {
		if got.err != nil && (i < total-1 || x.Stats().Cut == 0) {
			t.Errorf("response %d: %v", i, got.err)
		}
		if got.StatusCode >= 400 && methods[i] != "HEAD" {
			checkStatus(t, got)
		}
	}
}

// responses adds up the counters.
func responses(x *fixture) int {
	total := 0
	for route := range append(x.routes(), httpserver.Route{}) {
		for _, code := range httpserver.Codes {
			total += int(x.Count(route-1, code))
		}
	}
	return total
}
