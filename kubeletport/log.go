// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// logLine is a record of a board's log, as its kubelet's /logs writes it:
//
//	17 2026-02-28T23:59:50.000000Z INFO msg="Node registered" node=pico-1
//
// While the board does not know the time of day, the time since its boot stands
// in its place: +0.250s. See logCursor.date for what becomes of it.
type logLine struct {
	seq    uint64
	when   string        // as written
	at     time.Time     // zero: the board did not know
	uptime time.Duration // where at is zero
	text   string        // level, message and fields
}

// lineTime is how a board writes the time of day.
const lineTime = "2006-01-02T15:04:05.000000Z07:00"

// parseLogLine reads a line; ok is false for what no kubelet writes.
func parseLogLine(line string) (l logLine, ok bool) {
	number, rest, _ := strings.Cut(line, " ")
	when, text, found := strings.Cut(rest, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq == 0 || !found {
		return l, false
	}
	l = logLine{seq: seq, when: printable(when), text: printable(text)}
	if uptime, ok := strings.CutPrefix(when, "+"); ok {
		l.uptime, err = time.ParseDuration(uptime)
	} else {
		l.at, err = time.Parse(time.RFC3339Nano, when)
	}
	return l, err == nil
}

// printable takes out what could steer a terminal: a kubelet writes no control
// characters, but a board need not run one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// logCursor reads a board's log record by record.
type logCursor struct {
	server  *Server
	port    *port
	dated   bool      // the reader needs to know when a line was written
	last    logLine   // the newest that was read; seq 0: none
	started time.Time // when the board booted; zero: not known
}

// next returns the records since the last call. The board is asked for the last
// record once more: if it has another one by that number, or none, it rebooted
// and counts from 1 again, and what it logged since then is new.
func (c *logCursor) next(ctx context.Context) ([]logLine, *refusal) {
	lines, refused := c.read(ctx, max(c.last.seq, 1)-1)
	if refused != nil || c.last.seq == 0 {
		return c.keep(lines), refused
	}
	switch {
	case len(lines) > 0 && lines[0].seq == c.last.seq && lines[0].text == c.last.text:
		return c.keep(lines[1:]), nil
	case len(lines) > 0 && lines[0].seq > c.last.seq: // the ring has lost some
		return c.keep(lines), nil
	}
	c.last, c.started = logLine{}, time.Time{}
	lines, refused = c.read(ctx, 0)
	return c.keep(lines), refused
}

func (c *logCursor) keep(lines []logLine) []logLine {
	if len(lines) > 0 {
		c.last = lines[len(lines)-1]
	}
	return lines
}

// read returns the records after number since that the board still has.
func (c *logCursor) read(ctx context.Context, since uint64) ([]logLine, *refusal) {
	q := boardRequest{method: http.MethodGet, path: "/logs", query: url.Values{}}
	if since > 0 {
		q.query.Set("since", strconv.FormatUint(since, 10))
	}
	a, refused := c.server.ask(ctx, c.port, q)
	if refused != nil {
		return nil, refused
	}
	defer a.close()
	if a.code != http.StatusOK || a.rest != nil {
		return nil, refuse(http.StatusBadGateway, "the board of node %s gives no log: it answered %d with %d bytes or more", c.port.node.Name, a.code, len(a.head))
	}
	lines := parseLog(a.head)
	c.date(ctx, lines)
	return lines, nil
}

// date gives the lines from before the board knew the time of day one, if it knows
// it by now: that of its boot, and the time since then. Else they stay as they are.
func (c *logCursor) date(ctx context.Context, lines []logLine) {
	if !c.dated || !slices.ContainsFunc(lines, func(l logLine) bool { return l.at.IsZero() }) {
		return
	}
	if c.started.IsZero() {
		c.started, _ = c.server.startedOn(ctx, c.port)
	}
	if c.started.IsZero() {
		return
	}
	next := time.Time{}
	for i := len(lines) - 1; i >= 0; i-- {
		l := &lines[i]
		if l.at.IsZero() {
			l.at = c.started.Add(l.uptime)
			if l.at.After(next) && !next.IsZero() { // the board has set its clock since
				l.at = next
			}
			l.when = l.at.UTC().Format(lineTime)
		}
		next = l.at
	}
}

func parseLog(text []byte) []logLine {
	var lines []logLine
	for line := range bytes.Lines(text) {
		if l, ok := parseLogLine(strings.TrimRight(string(line), "\r\n")); ok {
			lines = append(lines, l)
		}
	}
	return lines
}
