// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/linktest"
)

// logBoard is a board whose log a test writes.
type logBoard struct {
	*fakeBoard
	mu    sync.Mutex
	first int // number of the oldest record
	lines []string
	away  bool
}

func startLogBoard(t testing.TB, lines ...string) *logBoard {
	b := &logBoard{first: 1, lines: lines}
	b.fakeBoard = startBoard(t, b.serve)
	return b
}

func (b *logBoard) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		panic(http.ErrAbortHandler)
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("since"))
	for i, line := range b.lines {
		if seq := b.first + i; seq > since {
			fmt.Fprintf(w, "%d %s\n", seq, line)
		}
	}
}

// Dial fails while the board is away.
func (b *logBoard) Dial(ctx context.Context, n string) (net.Conn, error) {
	b.mu.Lock()
	away := b.away
	b.mu.Unlock()
	if away {
		return nil, linktest.ErrRefused
	}
	return b.fakeBoard.Dial(ctx, n)
}

// change changes the board's log.
func (b *logBoard) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
}

// at is a record of the log at an age.
func at(age time.Duration, text string) string {
	return time.Now().Add(-age).UTC().Format("2006-01-02T15:04:05.000000Z") + " " + text
}

func TestLogsByOptions(t *testing.T) {
	t.Parallel()
	lines := []string{
		"+0.250s INFO msg=a", at(time.Hour, "INFO msg=b"), "+9.000s WARN msg=c", at(time.Minute, `ERROR msg="d e"`),
		at(time.Second, "INFO msg=\x1b[2Jf\u0085"), "+12.000s INFO msg=g",
	}
	b := startLogBoard(t, lines...)
	h := startServer(t, b, nil)
	client := h.client(t, h.admin(t))
	text := func(from int) string {
		plain := []string{"INFO msg=a\n", "INFO msg=b\n", "WARN msg=c\n", "ERROR msg=\"d e\"\n", "INFO msg=\ufffd[2Jf\ufffd\n", "INFO msg=g\n"}
		return strings.Join(plain[from:], "")
	}
	for _, tt := range []struct {
		query, want string
		code        int
	}{
		{"", text(0), 200},
		{"?follow=false&previous=0&timestamps=false", text(0), 200},
		{"?tailLines=2", text(4), 200}, {"?tailLines=0", "", 200}, {"?tailLines=99", text(0), 200},
		{"?sinceSeconds=30", text(4), 200}, {"?sinceSeconds=600", text(2), 200}, {"?sinceSeconds=9223372036854775807", text(0), 200},
		{"?sinceTime=" + time.Now().Add(-30*time.Minute).UTC().Format(time.RFC3339), text(2), 200},
		{"?sinceTime=2999-01-01T00:00:00Z", text(5), 200}, // written when the time was not known
		{"?sinceSeconds=600&tailLines=1", text(5), 200},
		{"?limitBytes=13", "INFO msg=a\nIN", 200},
		{"?timestamps=true&tailLines=2&limitBytes=16", lines[4][:16], 200},
		{"?timestamps=1", "+0.250s INFO msg=a\n" + lines[1] + "\n" + lines[2] + "\n" + lines[3] + "\n" + lines[4][:28] + text(4)[:len(text(4))-len(text(5))] + lines[5] + "\n", 200},
		{"?stream=All", text(0), 200}, {"?stream=Stdout", text(0), 200}, {"?stream=Stderr", "", 200},
		{"?insecureSkipTLSVerifyBackend=true", text(0), 200},
		{"?previous=true", "keeps no log over a reboot", 400},
		{"?tailLines=-1", "tailLines", 400}, {"?tailLines=x", "tailLines", 400}, {"?limitBytes=0", "limitBytes", 400},
		{"?sinceSeconds=0", "sinceSeconds", 400}, {"?sinceTime=yesterday", "sinceTime", 400}, {"?stream=Stdin", "stream", 400},
		{"?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", "not both", 400},
	} {
		r := ask(t, client, "GET", "/containerLogs"+podPath+tt.query, "")
		if r.code != tt.code || tt.code == 200 && r.body != tt.want || !strings.Contains(r.body, tt.want) {
			t.Errorf("%s: %d\n%s\nwant %d\n%s", tt.query, r.code, r.body, tt.code, tt.want)
		}
		if got := r.header.Get("Content-Type"); got != textType {
			t.Errorf("%s: content type %s: kubectl prints what it gets", tt.query, got)
		}
	}
	for _, path := range []string{"/default/picolet-pico-1/firmware", "/kube-system/picolet-pico-2/firmware", "/kube-system/picolet-pico-1/other"} {
		if r := ask(t, client, "GET", "/containerLogs"+path, ""); r.code != 404 {
			t.Errorf("%s: %d %s", path, r.code, r.body)
		}
	}
}

// What a board writes that is no log is not shown as one.
func TestNonsenseForALog(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		board http.HandlerFunc
		code  int
		body  string
	}{
		"garbage": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x\n1\n0 +1s INFO msg=a\n-1 +1s b\n2 yesterday INFO msg=c\n3 +1s INFO msg=d")
		}, 200, "INFO msg=d\n"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBuffered+1)) }, 502, "gives no log"},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 502, "gives no log"},
	} {
		h := startServer(t, startBoard(t, tt.board), nil)
		if r := ask(t, h.client(t, h.admin(t)), "GET", "/containerLogs"+podPath, ""); r.code != tt.code || !strings.Contains(r.body, tt.body) {
			t.Errorf("%s: %d %q", name, r.code, r.body)
		}
	}
}

// follower reads a log that is followed.
type follower struct {
	conn  *tls.Conn
	lines *bufio.Reader
}

func startFollower(t *testing.T, h *harness, query string) *follower {
	t.Helper()
	c := secureConn(t, h, h.admin(t))
	_, err := io.WriteString(c, "GET /containerLogs"+podPath+"?follow=true"+query+" HTTP/1.1\r\nHost: a\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	return &follower{conn: c, lines: bufio.NewReader(resp.Body)}
}

func (f *follower) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if line, err := f.lines.ReadString('\n'); err != nil || line != w+"\n" {
			t.Fatalf("line %q, %v, want %q", line, err, w)
		}
	}
}

// A log is followed over all that can happen to a ring of records: nothing new,
// records that were lost, a reboot with fewer records and one with more, and a
// clock that was set.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startLogBoard(t, "+1.000s INFO msg=a", "+2.000s INFO msg=b")
		h := startPiped(t, b, nil)
		f := startFollower(t, h, "&tailLines=1")
		f.expect(t, "INFO msg=b")
		time.Sleep(10 * time.Second)
		b.change(func() { b.lines = append(b.lines, "+13.000s INFO msg=c", "+13.000s INFO msg=c") })
		f.expect(t, "INFO msg=c", "INFO msg=c")
		b.change(func() { // the clock was set, and known times are shown
			b.lines = []string{"2026-01-01T00:00:00.000000Z INFO msg=c", "2026-01-01T00:00:05.000000Z INFO msg=d"}
			b.first = 4
		})
		f.expect(t, "INFO msg=d")
		b.change(func() { b.lines, b.first = []string{"+0.000s INFO msg=y", "+0.000s INFO msg=z"}, 100 }) // lost some
		f.expect(t, "INFO msg=y", "INFO msg=z")
		b.change(func() { b.lines, b.first = []string{"+0.000s INFO msg=boot"}, 1 })
		f.expect(t, "INFO msg=boot")
		b.change(func() { b.lines = []string{"+0.000s INFO msg=boot2", "+0.000s INFO msg=other"} })
		f.expect(t, "INFO msg=boot2", "INFO msg=other")
		b.change(func() { b.lines = []string{"+0.000s INFO msg=boot3", "+0.000s INFO msg=x", "+0.000s INFO msg=y"} })
		f.expect(t, "INFO msg=boot3", "INFO msg=x", "INFO msg=y")
		b.change(func() { b.away = true })
		time.Sleep(20 * time.Second)
		b.change(func() { b.away, b.lines = false, append(b.lines, "+30.000s INFO msg=back") })
		f.expect(t, "INFO msg=back")
		b.change(func() { b.away = true })
		if _, err := f.lines.ReadString('\n'); err == nil || err == io.EOF {
			t.Errorf("the end of a board that stays away: %v, want an error that is none of an orderly end", err)
		}
	})
}

// Following costs a board one short request a second, and nothing once the
// client is gone.
func TestFollowIsCheap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startLogBoard(t, "+1.000s INFO msg=a", "+2.000s INFO msg=b")
		h := startPiped(t, b, nil)
		f := startFollower(t, h, "")
		f.expect(t, "INFO msg=a", "INFO msg=b")
		b.requests()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		want := slices.Repeat([]string{"GET /logs?since=1 HTTP/1.1\r\nHost: pico-1\r\n\r\n"}, 10)
		equal(t, "requests in 10 s", b.requests(), want)
		if b.Dials() != 1 {
			t.Errorf("%d connections to the board, want one that is kept", b.Dials())
		}
		_ = f.conn.Close()
		time.Sleep(2 * time.Second)
		b.requests()
		time.Sleep(time.Minute)
		equal(t, "requests after the client went", b.requests(), nil)
	})
}

func TestFollowEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startLogBoard(t, "+1.000s INFO msg=a")
		h := startPiped(t, b, nil)
		f := startFollower(t, h, "&limitBytes=15")
		f.expect(t, "INFO msg=a")
		b.change(func() { b.lines = append(b.lines, "+2.000s INFO msg=b") })
		if rest, err := io.ReadAll(f.lines); err != nil || string(rest) != "INFO" {
			t.Errorf("the rest is %q, %v", rest, err)
		}
	})
}

func FuzzParseLogLine(f *testing.F) {
	f.Add(`17 2026-02-28T23:59:50.000000Z INFO msg="Node registered" node=pico-1`)
	f.Add("1 +0.250s INFO msg=a\x1b[2J")
	f.Add("18446744073709551616 + x")
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := parseLogLine(line)
		if ok && (l.seq == 0 || strings.ContainsAny(l.when+l.text, "\x00\x1b\r\n\x7f\u009b")) {
			t.Errorf("%q is read as %+v", line, l)
		}
	})
}
