// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/httpserver"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what the server does")

// TestTranscripts replays testdata/*.txt. A transcript is blocks of lines,
// separated by empty lines; first the steps, then what follows from them:
//
//	# comment
//	config token=secret rate=1 burst=2 unixtime=1767225600
//	accept | advance 5s | closed 0 | hold 0 | take 0 100 | count -1 404 | stats
//	0< a line received on connection 0, ended by CRLF
//	0> a line sent on connection 0, ended by CRLF
//	= an event, or the answer to count and stats
//
// A line that ends in \ has no line end, one that ends in \n has no CR.
// Output is taken at the end of a block, on connections that are not on hold.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s: got\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

// firstDifference returns got from its first line that is not in want on.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return strings.Join(g[i:min(i+12, len(g))], "\n")
		}
	}
	return "fewer lines than expected"
}

// replay runs the steps of a transcript and returns it with what followed.
func replay(t *testing.T, transcript string) string {
	p := &player{t: t}
	for _, line := range strings.Split(strings.TrimRight(transcript, "\n"), "\n") {
		switch {
		case line == "":
			p.endBlock()
			p.out.WriteByte('\n')
		case strings.HasPrefix(line, "=") || len(line) > 1 && line[1] == '>':
		default:
			fmt.Fprintln(&p.out, line)
			p.step(line)
		}
	}
	p.endBlock()
	return p.out.String()
}

type player struct {
	t        *testing.T
	fixture  *fixture
	out      bytes.Buffer
	received [httpserver.MaxConns][]byte
	held     [httpserver.MaxConns]bool
}

func (p *player) step(line string) {
	words := strings.Fields(line)
	if p.fixture == nil && words[0] != "#" && words[0] != "config" {
		p.fixture = newFixture(p.t, nil)
	}
	switch {
	case words[0] == "#":
	case words[0] == "config":
		p.configure(words[1:])
	case words[0] == "accept":
		p.accept()
	case words[0] == "advance":
		d, err := time.ParseDuration(words[1])
		p.check(line, err)
		p.advance(d)
	case words[0] == "closed":
		p.fixture.Closed(p.fixture.now, p.number(words[1]))
	case words[0] == "hold":
		p.held[p.number(words[1])] = true
	case words[0] == "take":
		p.take(p.number(words[1]), p.number(words[2]))
	case words[0] == "count":
		p.event("%d", p.fixture.Count(p.number(words[1]), p.number(words[2])))
	case words[0] == "stats":
		p.event("%+v", p.fixture.Stats())
	case len(line) > 1 && line[1] == '<':
		p.receive(p.number(line[:1]), line[2:])
	default:
		p.t.Fatalf("unknown step %q", line)
	}
}

func (p *player) check(line string, err error) {
	if err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
}

func (p *player) number(s string) int {
	n, err := strconv.Atoi(s)
	p.check(s, err)
	return n
}

func (p *player) event(format string, args ...any) {
	fmt.Fprintf(&p.out, "= "+format+"\n", args...)
}

func (p *player) configure(settings []string) {
	p.fixture = newFixture(p.t, func(c *httpserver.Config) {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			switch name {
			case "token":
				c.Token = value
			case "rate":
				c.Rate = p.number(value)
			case "burst":
				c.Burst = p.number(value)
			case "unixtime":
				start := int64(p.number(value))
				c.UnixTime = func(now time.Duration) int64 { return start + int64(now/time.Second) }
			default:
				p.t.Fatalf("unknown setting %q", s)
			}
		}
	})
}

func (p *player) accept() {
	conn, ok := p.fixture.Accept(p.fixture.now)
	if !ok {
		p.event("busy")
		return
	}
	p.received[conn], p.held[conn] = nil, false
	p.event("accepted %d", conn)
}

// advance lets time pass, with a Tick at each time that the server asks for.
func (p *player) advance(d time.Duration) {
	f, end := p.fixture, p.fixture.now+d
	for f.now < end {
		f.now = min(max(f.Wake(), f.now+1), end)
		f.Tick(f.now)
		set := f.Expired()
		for conn := range httpserver.MaxConns {
			if set.Has(conn) {
				p.event("expired %d", conn)
			}
		}
	}
}

// receive keeps a line for the end of the block.
func (p *player) receive(conn int, line string) {
	line, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(line, " "), `\`), `"`, `\"`) + lineEnd(line) + `"`)
	p.check(line, err)
	p.received[conn] = append(p.received[conn], line...)
}

// lineEnd is what a line of a transcript leaves out.
func lineEnd(line string) string {
	if strings.HasSuffix(line, `\`) || strings.HasSuffix(line, `\n`) {
		return ""
	}
	return `\r\n`
}

// endBlock hands over what was received and shows what comes back.
func (p *player) endBlock() {
	if p.fixture == nil {
		return
	}
	for conn := range httpserver.MaxConns {
		p.offer(conn)
		for !p.held[conn] && len(p.fixture.Pending(conn)) > 0 {
			p.take(conn, whole)
			p.offer(conn)
		}
		if p.fixture.Finishing(conn) && len(p.fixture.Pending(conn)) == 0 {
			p.event("closes %d", conn)
			p.fixture.Closed(p.fixture.now, conn)
		}
	}
}

func (p *player) offer(conn int) {
	n := p.fixture.Receive(p.fixture.now, conn, p.received[conn])
	p.received[conn] = p.received[conn][n:]
}

// take sends up to n bytes and shows them.
func (p *player) take(conn, n int) {
	var sent []byte
	for n > 0 && len(p.fixture.Pending(conn)) > 0 {
		b := p.fixture.Pending(conn)
		b = b[:min(n, len(b))]
		sent = append(sent, b...)
		n -= len(b)
		p.fixture.Sent(p.fixture.now, conn, len(b))
	}
	for _, line := range strings.SplitAfter(string(sent), "\n") {
		p.show(conn, line)
	}
}

func (p *player) show(conn int, line string) {
	if line == "" {
		return
	}
	text, complete := strings.CutSuffix(line, "\r\n")
	quoted := strconv.Quote(text)
	quoted = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if !complete && !strings.HasSuffix(line, "\n") {
		quoted += `\`
	}
	fmt.Fprintln(&p.out, strings.TrimRight(fmt.Sprintf("%d> %s", conn, quoted), " "))
}
