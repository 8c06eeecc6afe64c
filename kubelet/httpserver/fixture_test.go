// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/httpserver"
)

// fixture is a Server with routes of every kind, and what its one action did.
type fixture struct {
	httpserver.Server
	now      time.Duration
	commands []string // bodies of POST /command
}

// metricLine is one of the 120 parts of /metrics, 6 KB in all.
const metricLine = "picolet_requests_total{path=\"/healthz\",code=\"200\"} "

func (f *fixture) routes() []httpserver.Route {
	const jsonType = "application/json"
	get := func(fn httpserver.HandlerFunc) httpserver.Handler { return fn }
	command := httpserver.ActionFunc(f.command)
	return []httpserver.Route{
		{Path: "/healthz", Get: get(serveHealth)},
		{Path: "/metrics", Get: get(serveMetrics), ContentType: "text/plain; version=0.0.4; charset=utf-8"},
		{Path: "/parts", Get: get(serveParts)},
		{Path: "/log", Get: get(serveLog)},
		{Path: "/json", Get: get(serveJSON), ContentType: jsonType},
		{Path: "/array", Get: get(serveArray), ContentType: jsonType},
		{Path: "/notready", Get: get(serveNotReady)},
		{Path: "/command", Post: command},
		{Path: "/both", Get: get(serveHealth), Post: command},
		{Path: "/files/*", Get: get(servePath)},
		{Path: "/endless", Get: get(func(time.Duration, *httpserver.Request, int, *httpserver.Response) bool { return true })},
		{Path: "/sparse", Get: get(serveSparse)},
		{Path: "/late", Get: get(serveLate)},
		{Path: "/badtype", Get: get(serveBadType)},
		{Path: "/nothing", Get: get(func(_ time.Duration, _ *httpserver.Request, part int, _ *httpserver.Response) bool { return part < 3 })},
	}
}

func (f *fixture) command(_ time.Duration, r *httpserver.Request, w *httpserver.Response) {
	f.commands = append(f.commands, string(r.Body))
	if string(r.Body) == "bad" {
		httpserver.WriteStatus(w, 422, httpserver.Reason(422), "there is no such command")
		return
	}
	w.Status = 202
	w.String("did ")
	w.Bytes(r.Body)
	for range queryInt(r, "repeat") {
		w.Bytes(r.Body)
	}
}

func serveHealth(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.String("ok")
	return false
}

func serveMetrics(_ time.Duration, _ *httpserver.Request, part int, w *httpserver.Response) bool {
	w.String(metricLine)
	w.Int(int64(part) + 100)
	w.Byte('\n')
	return part < 119
}

// serveParts renders n parts; each has size bytes, but part bigat has big. Which
// letter comes next, its cursor says.
func serveParts(_ time.Duration, r *httpserver.Request, part int, w *httpserver.Response) bool {
	size := queryInt(r, "size")
	if at, ok := r.QueryValue("bigat"); ok && string(at) == strconv.Itoa(part) {
		size = queryInt(r, "big")
	}
	for range size {
		w.Byte('a' + byte(r.State[0]%26))
	}
	r.State[0]++
	return part+1 < queryInt(r, "n")
}

// serveLog counts to 200 with its cursor alone.
func serveLog(_ time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	r.State[0]++
	r.State[1] += r.State[0]
	w.String("line ")
	w.Uint(r.State[0])
	w.String(" sum ")
	w.Uint(r.State[1])
	w.Byte('\n')
	return r.State[0] < 200
}

func serveJSON(now time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	name, _ := r.QueryValue("name")
	j := w.JSON()
	j.BeginObject()
	j.BytesMember("name", name)
	j.IntMember("seconds", int64(now/time.Second))
	j.EndObject()
	return false
}

// serveArray mixes glue and JSON values, three in each part.
func serveArray(_ time.Duration, _ *httpserver.Request, part int, w *httpserver.Response) bool {
	if part == 0 {
		w.Byte('[')
	}
	for i := range 3 {
		if part+i > 0 {
			w.Byte(',')
		}
		j := w.JSON()
		j.BeginObject()
		j.IntMember("part", int64(part))
		j.StringMember("text", "a \"quoted\" text")
		j.EndObject()
	}
	if part < 39 {
		return true
	}
	w.Byte(']')
	return false
}

func serveNotReady(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.String("to be replaced")
	httpserver.WriteStatus(w, 503, httpserver.Reason(503), "no heartbeat for 41 s")
	return false
}

func servePath(_ time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.Bytes(r.Path)
	w.Byte('?')
	w.Bytes(r.Query)
	return false
}

// serveSparse has something in one part of 600.
func serveSparse(_ time.Duration, _ *httpserver.Request, part int, w *httpserver.Response) bool {
	if part%600 == 599 {
		w.String("here ")
	}
	return part < 2999
}

// serveLate sets in part 1 what only part 0 may.
func serveLate(_ time.Duration, _ *httpserver.Request, part int, w *httpserver.Response) bool {
	if part == 1 {
		w.Status, w.ContentType = 404, "text/late"
	}
	w.String("x")
	return part == 0
}

func serveBadType(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.ContentType = "text/plain\r\nSet-Cookie: a=b"
	return false
}

func queryInt(r *httpserver.Request, name string) int {
	v, _ := r.QueryValue(name)
	n, _ := strconv.Atoi(string(v))
	return n
}

// newFixture returns a configured fixture; change adjusts its Config.
func newFixture(t testing.TB, change func(*httpserver.Config)) *fixture {
	t.Helper()
	f := &fixture{now: time.Minute}
	c := httpserver.Config{Routes: f.routes(), Memory: make([]byte, httpserver.MemorySize)}
	if change != nil {
		change(&c)
	}
	if err := f.Configure(c); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	return f
}

// unlimited lifts the rate limit, for tests of something else.
func unlimited(c *httpserver.Config) { c.Rate, c.Burst = 1_000_000, 1_000_000 }

func (f *fixture) accept(t testing.TB) int {
	t.Helper()
	conn, ok := f.Accept(f.now)
	if !ok {
		t.Fatal("Accept refused a connection")
	}
	return conn
}

// exchange gives input to a connection in pieces of at most in bytes, takes
// output in pieces of at most out bytes, and returns all of it. It ends when
// the server has nothing more to send and takes nothing more; closed
// tells whether it wants the connection closed.
func (f *fixture) exchange(conn int, input string, in, out int) (output string, closed bool) {
	var got bytes.Buffer
	rest := []byte(input)
	for {
		n := f.Receive(f.now, conn, rest[:min(in, len(rest))])
		rest = rest[n:]
		p := f.Pending(conn)
		if len(p) == 0 && (n == 0 || len(rest) == 0) {
			return got.String(), f.Finishing(conn)
		}
		p = p[:min(out, len(p))]
		got.Write(p)
		f.Sent(f.now, conn, len(p))
	}
}

// whole is a piece size that cuts nothing.
const whole = 1 << 20

// request returns the text of a request without a body.
func request(method, target string, fields ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: pico-1\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// post returns the text of a POST.
func post(target, body string) string {
	return request("POST", target, "Content-Length: "+strconv.Itoa(len(body))) + body
}

func itoa(n int) string { return strconv.Itoa(n) }
