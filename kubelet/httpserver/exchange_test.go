// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package httpserver_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/httpserver"
)

// targets has at least one for every GET route, and every way a response of the
// mechanism itself can look.
var targets = []string{
	"/healthz", "/metrics", "/log", "/json?name=pico", "/array", "/notready", "/both", "/files/a?b=c", "/nothing", "/sparse", "/late",
	"/parts?n=1&size=0", "/parts?n=1&size=749", "/parts?n=1&size=762", "/parts?n=1&size=900", "/parts?n=2&size=1012", "/parts?n=9&size=333",
	"/parts?n=1&size=1013", "/badtype", "/endless", "/nowhere", "/command",
}

// response is one as net/http reads it.
type response struct {
	*http.Response
	body string
	err  error // of reading the body
}

// parse reads with net/http one response for each method, and fails if there
// are fewer, or bytes left.
func parse(t testing.TB, output string, methods ...string) []response {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(output))
	var all []response
	for i, method := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("response %d of %d: %v in\n%s", i+1, len(methods), err, output)
		}
		body, err := io.ReadAll(resp.Body)
		all = append(all, response{resp, string(body), err})
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Fatalf("after %d responses: %q left of\n%s", len(methods), rest, output)
	}
	return all
}

func TestShortReads(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		request("GET", "/healthz") + request("HEAD", "/metrics") + request("GET", "/json?name=a+b"),
		post("/command", "blink_led") + post("/both", "x") + request("GET", "/nowhere"),
		request("GET", "/healthz") + "GET /x HTTP/1.1\r\nHost pico\r\n\r\n" + request("GET", "/healthz"),
	} {
		f := newFixture(t, unlimited)
		want, wantClosed := f.exchange(f.accept(t), input, whole, whole)
		wantCommands := strings.Join(f.commands, ",")
		for split := 1; split < len(input); split++ {
			f := newFixture(t, unlimited)
			conn := f.accept(t)
			got, _ := f.exchange(conn, input[:split], whole, whole)
			rest, closed := f.exchange(conn, input[split:], split%7+1, whole)
			if got+rest != want || closed != wantClosed {
				t.Fatalf("split at %d of %q: got\n%s\nwant\n%s", split, input, got+rest, want)
			}
			if commands := strings.Join(f.commands, ","); commands != wantCommands {
				t.Fatalf("split at %d: commands %q, want %q", split, commands, wantCommands)
			}
		}
	}
}

func TestPartialSends(t *testing.T) {
	t.Parallel()
	input := post("/command", "once")
	for _, target := range targets {
		if target != "/endless" && target != "/sparse" { // slow by nature
			input += request("GET", target)
		}
	}
	f := newFixture(t, unlimited)
	want, _ := f.exchange(f.accept(t), input, whole, whole)
	for size := 1; size <= httpserver.BufferSize; size++ {
		f := newFixture(t, unlimited)
		got, _ := f.exchange(f.accept(t), input, whole, size)
		if got != want {
			t.Fatalf("taken %d bytes at a time, the responses differ from those taken whole", size)
		}
		if len(f.commands) != 1 {
			t.Fatalf("taken %d bytes at a time, the command was carried out %d times", size, len(f.commands))
		}
	}
}

// TestBodies checks what arrives behind the framing.
func TestBodies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, unlimited)
	conn := f.accept(t)
	get := func(target string) response {
		output, _ := f.exchange(conn, request("GET", target), whole, 536)
		return parse(t, output, "GET")[0]
	}

	metrics := get("/metrics")
	lines := strings.Split(strings.TrimSuffix(metrics.body, "\n"), "\n")
	if metrics.err != nil || len(lines) != 120 || lines[0] != metricLine+"100" || lines[119] != metricLine+"219" {
		t.Errorf("/metrics: %d lines, error %v", len(lines), metrics.err)
	}
	for range 2 { // the cursor of one request is not that of the next
		if log := get("/log"); log.err != nil || !strings.HasSuffix(log.body, "line 200 sum 20100\n") || strings.Count(log.body, "\n") != 200 {
			t.Errorf("/log: error %v, body ends in %q", log.err, log.body[max(0, len(log.body)-40):])
		}
	}
	var array []struct{ Part int }
	if body := get("/array").body; json.Unmarshal([]byte(body), &array) != nil || len(array) != 120 || array[119].Part != 39 {
		t.Errorf("/array: %d elements in %q", len(array), body)
	}
	if got := get("/sparse").body; got != strings.Repeat("here ", 5) {
		t.Errorf("/sparse: %q", got)
	}
	if late := get("/late"); late.StatusCode != 200 || late.Header.Get("Content-Type") != "text/plain; charset=utf-8" || late.body != "xx" {
		t.Errorf("/late: %d, %v, %q", late.StatusCode, late.Header, late.body)
	}
	if p := get("/parts?n=2&size=0&bigat=1&big=900"); p.body != strings.Repeat("b", 900) {
		t.Errorf("/parts with an empty part 0: %d bytes, error %v", len(p.body), p.err)
	}
	if p := get("/parts?n=2&size=900"); p.body != strings.Repeat("a", 900)+strings.Repeat("b", 900) {
		t.Errorf("/parts that do not fit beside the head: %d bytes, error %v", len(p.body), p.err)
	}
	if p := get("/parts?n=3&size=700"); p.body != strings.Repeat("a", 700)+strings.Repeat("b", 700)+strings.Repeat("c", 700) {
		t.Errorf("/parts: %d bytes, error %v", len(p.body), p.err)
	}
}

// TestEverySizeOfPart0 walks over the limits at which a body fits beside the
// head, fits alone, and does not fit.
func TestEverySizeOfPart0(t *testing.T) {
	t.Parallel()
	const fitsAlone = httpserver.BufferSize - len("fff\r\n") - len("\r\n") - len("0\r\n\r\n")
	f := newFixture(t, unlimited)
	conn := f.accept(t)
	for size := range httpserver.BufferSize + 10 {
		for _, n := range []string{"1", "2"} {
			target := "/parts?n=" + n + "&big=1&bigat=1&size=" + itoa(size)
			output, _ := f.exchange(conn, request("GET", target), whole, whole)
			got := parse(t, output, "GET")[0]
			want := strings.Repeat("a", size)
			if n == "2" {
				want += "b"
			}
			switch {
			case size > fitsAlone && got.StatusCode != 500:
				t.Errorf("%s: status %d, want 500", target, got.StatusCode)
			case size <= fitsAlone && (got.body != want || got.err != nil):
				t.Errorf("%s: status %d, %d bytes, error %v", target, got.StatusCode, len(got.body), got.err)
			}
		}
	}
}

func TestHeadHasTheHeadOfGet(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		for _, fields := range [][]string{nil, {"Connection: close"}} {
			f := newFixture(t, unlimited)
			get, getClosed := f.exchange(f.accept(t), request("GET", target, fields...), whole, whole)
			head, headClosed := f.exchange(f.accept(t), request("HEAD", target, fields...), whole, whole)
			end := strings.Index(get, "\r\n\r\n") + 4
			if head != get[:end] || headClosed != getClosed {
				t.Errorf("HEAD %s: got\n%s\nwant\n%s", target, head, get[:end])
			}
		}
	}
}

// TestNetHTTPReadsEveryResponse also holds that errors are metav1.Status
// objects which agree with the status line.
func TestNetHTTPReadsEveryResponse(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
		for _, target := range targets {
			for _, size := range []int{httpserver.MinBuffer, httpserver.BufferSize} {
				f := newFixture(t, func(c *httpserver.Config) { c.Memory = c.Memory[:2*httpserver.MaxConns*size] })
				output, _ := f.exchange(f.accept(t), request(method, target), whole, 100)
				got := parse(t, output, method)[0]
				if got.err != nil {
					t.Errorf("%s %s: %v", method, target, got.err)
				}
				if got.StatusCode >= 400 && method != "HEAD" {
					checkStatus(t, got)
				}
			}
		}
	}
}

func checkStatus(t testing.TB, got response) {
	t.Helper()
	var status struct {
		Kind, APIVersion, Status, Message, Reason string
		Metadata                                  *struct{}
		Code                                      int
	}
	d := json.NewDecoder(strings.NewReader(got.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&status); err != nil {
		t.Fatalf("%d: %v in %q", got.StatusCode, err, got.body)
	}
	if status.Kind != "Status" || status.APIVersion != "v1" || status.Status != "Failure" || status.Metadata == nil ||
		status.Message == "" || status.Code != got.StatusCode || status.Reason != httpserver.Reason(got.StatusCode) ||
		got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d: header %v, body %s", got.StatusCode, got.Header, got.body)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	got := parse(t, string(httpserver.Busy()), "GET")[0]
	if got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" || !got.Close || got.err != nil {
		t.Errorf("Busy: %d, %v, error %v", got.StatusCode, got.Header, got.err)
	}
	if int64(len(got.body)) != got.ContentLength {
		t.Errorf("Busy: Content-Length %d, body of %d bytes", got.ContentLength, len(got.body))
	}
	checkStatus(t, got)
}

// TestLongRequests holds the codes that depend on the size of the buffer.
func TestLongRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", httpserver.BufferSize)
	room := httpserver.BufferSize - len(post("/command", "")) - 2 // two digits more of Content-Length
	for input, want := range map[string]int{
		request("GET", "/"+long):               414,
		request("GET", "/healthz", "A: "+long): 431,
		post("/command", long[:room]):          500, // received, but the answer is too long
		post("/command", long[:room+1]):        413,
	} {
		f := newFixture(t, nil)
		output, closed := f.exchange(f.accept(t), input, 100, whole)
		got := parse(t, output, "GET")[0]
		if got.StatusCode != want || closed != (want < 500) {
			t.Errorf("%.30q…: status %d, closed %v, want %d", input, got.StatusCode, closed, want)
		}
	}
}

func TestSlowReadersLoseTheirPlaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t, unlimited)
	for range httpserver.MaxConns {
		f.Receive(f.now, f.accept(t), []byte(request("GET", "/metrics")))
	}
	for range 49 { // 490 of 6 KB
		f.now += 100 * time.Millisecond
		for conn := range httpserver.MaxConns {
			f.Sent(f.now, conn, 10)
		}
		if f.Tick(f.now); f.Expired() != 0 {
			t.Fatal("expired too early")
		}
	}
	if _, ok := f.Accept(f.now); ok {
		t.Fatal("Accept took the place of a connection that is being answered")
	}
	f.now = f.Wake()
	f.Tick(f.now)
	if set := f.Expired(); set != 1<<httpserver.MaxConns-1 || f.now != time.Minute+5*time.Second {
		t.Errorf("at %v expired %b", f.now, set)
	}
	if f.Expired() != 0 {
		t.Error("Expired hands out connections twice")
	}
	if f.Wake() != httpserver.Never {
		t.Errorf("Wake: %v without connections", f.Wake())
	}
	output, _ := f.exchange(f.accept(t), request("GET", "/healthz"), whole, whole)
	if got := parse(t, output, "GET")[0]; got.body != "ok" {
		t.Errorf("afterwards: %q", output)
	}
}

// TestWakeIsTheFirstDeadline, whichever connection has it.
func TestWakeIsTheFirstDeadline(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	first, second := f.accept(t), f.accept(t)
	f.exchange(second, request("GET", "/healthz"), whole, whole)
	if got := f.Wake(); got != f.now+5*time.Second {
		t.Errorf("Wake in %v, want 5s: connection 0 waits for its first request", got-f.now)
	}
	f.exchange(first, request("GET", "/healthz"), whole, whole)
	if got := f.Wake(); got != f.now+15*time.Second {
		t.Errorf("Wake in %v, want 15s: both are idle", got-f.now)
	}
	f.Receive(f.now, second, []byte("G"))
	if got := f.Wake(); got != f.now+5*time.Second {
		t.Errorf("Wake in %v, want 5s: connection 1 has begun a request", got-f.now)
	}
}

// TestExpiredPlaceIsReused: a number that Accept hands out again is no longer
// among the expired.
func TestExpiredPlaceIsReused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.accept(t)
	f.now += time.Minute
	f.Tick(f.now)
	conn := f.accept(t)
	if set := f.Expired(); set.Has(conn) {
		t.Errorf("expired %b, but %d has a new client", set, conn)
	}
}

func TestBurstDoesNotGrow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.now += 1000 * time.Hour
	output, _ := f.exchange(f.accept(t), strings.Repeat(request("GET", "/healthz"), 41), whole, whole)
	if ok, late := f.Count(0, 200), f.Count(httpserver.Unrouted, 429); ok != 40 || late != 1 {
		t.Errorf("%d let in, %d refused; want 40 and 1:\n%s", ok, late, output)
	}
}

// TestUnknownConnections: numbers out of range, or of nobody, change nothing.
func TestUnknownConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, conn := range []int{-1, 0, httpserver.MaxConns, 99} {
		if n := f.Receive(f.now, conn, []byte("GET")); n != 3 {
			t.Errorf("Receive(%d) took %d bytes, want all", conn, n)
		}
		f.Sent(f.now, conn, 5)
		f.Closed(f.now, conn)
		if len(f.Pending(conn)) > 0 || f.Finishing(conn) {
			t.Errorf("connection %d has something to send", conn)
		}
	}
	if got := f.Stats(); got != (httpserver.Stats{}) {
		t.Errorf("Stats: %+v", got)
	}
	if f.Count(-2, 200)+f.Count(99, 200)+f.Count(0, 299) != 0 {
		t.Error("Count of what does not exist")
	}
}

// TestSentMoreThanPending: a caller's mistake does not run out of the buffer.
func TestSentMoreThanPending(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	conn := f.accept(t)
	f.Sent(f.now, conn, 5)
	f.Receive(f.now, conn, []byte(request("GET", "/healthz")))
	pending := len(f.Pending(conn))
	f.Sent(f.now, conn, -1)
	if len(f.Pending(conn)) != pending {
		t.Error("Sent(-1) changed what is pending")
	}
	f.Sent(f.now, conn, whole)
	if got := f.Stats().BytesOut; got != uint64(pending) || len(f.Pending(conn)) != 0 {
		t.Errorf("BytesOut %d, want %d", got, pending)
	}
}

func TestOtherCodesAreCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.exchange(f.accept(t), post("/command", "bad")+post("/command", "good"), whole, whole)
	if got := f.Count(7, 0); got != 2 { // 422 and 202
		t.Errorf("Count(7, 0) = %d, want 2", got)
	}
}
