// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Following a log asks the board again and again.
const (
	followInterval = time.Second
	// followPatience is how long a board may be away, as for a reboot.
	followPatience = 30 * time.Second
)

// serveLogs answers /containerLogs. Errors are plain text, as those of a
// kubelet: kubectl logs prints them as they are.
func (s *Server) serveLogs(c *call) *refusal {
	refused := s.streamLogs(c)
	if refused != nil {
		refused.plain = true
	}
	return refused
}

func (s *Server) streamLogs(c *call) *refusal {
	if refused := c.checkPod(); refused != nil {
		return refused
	}
	o, refused := c.logOptions()
	if refused != nil {
		return refused
	}
	cursor := &logCursor{server: s, port: c.port, dated: o.Timestamps || o.SinceSeconds != nil || o.SinceTime != nil}
	lines, refused := cursor.next(c.r.Context())
	if refused != nil {
		return refused
	}
	out := &logWriter{c: c, timestamps: o.Timestamps, left: ptr.Deref(o.LimitBytes, -1)}
	c.w.Header().Set("Content-Type", textType)
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(http.StatusOK)
	if *o.Stream == corev1.LogStreamStderr {
		return nil // the firmware has one stream, which is its standard output
	}
	err := out.write(selected(lines, o, time.Now()))
	if err == nil && o.Follow {
		err = follow(c.r.Context(), cursor, out)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		panic(http.ErrAbortHandler) // the client sees that the log was cut
	}
	return nil
}

// logOptions reads the query into what pkg/kubelet/server/server.go would make
// of it, and refuses what pkg/apis/core/validation refuses.
func (c *call) logOptions() (*corev1.PodLogOptions, *refusal) {
	q := logQuery{values: c.query}
	o := &corev1.PodLogOptions{
		Follow: q.bool("follow"), Previous: q.bool("previous"), Timestamps: q.bool("timestamps"),
		SinceSeconds: q.integer("sinceSeconds", 1), SinceTime: q.time("sinceTime"),
		TailLines: q.integer("tailLines", 0), LimitBytes: q.integer("limitBytes", 1), Stream: q.stream("stream"),
	}
	switch {
	case q.err != nil:
		return nil, refuse(http.StatusBadRequest, "the query of the log is wrong: %v", q.err)
	case o.SinceSeconds != nil && o.SinceTime != nil:
		return nil, refuse(http.StatusBadRequest, "the query of the log is wrong: give sinceSeconds or sinceTime, not both")
	case o.Previous:
		return nil, refuse(http.StatusBadRequest, "previous terminated container %q in pod %q not found: a board keeps no log over a reboot; kubectl exec %s -- status tells why it rebooted",
			c.pod.container, c.pod.pod, c.pod.pod)
	}
	return o, nil
}

// logQuery reads values, and remembers the last that it could not read.
type logQuery struct {
	values url.Values
	err    error
}

// bool takes what is not "false" or "0" for true, as the API server does.
func (q *logQuery) bool(name string) bool {
	v := q.values.Get(name)
	return q.values.Has(name) && v != "0" && !strings.EqualFold(v, "false")
}

func (q *logQuery) integer(name string, least int64) *int64 {
	if q.values.Get(name) == "" {
		return nil
	}
	n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
	if err != nil || n < least {
		q.err = fmt.Errorf("%s must be a number from %d on", name, least)
	}
	return &n
}

func (q *logQuery) time(name string) *metav1.Time {
	if q.values.Get(name) == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, q.values.Get(name))
	if err != nil {
		q.err = fmt.Errorf("%s must be a time as 2026-02-28T23:59:50Z", name)
	}
	return &metav1.Time{Time: t}
}

func (q *logQuery) stream(name string) *string {
	v := cmp.Or(q.values.Get(name), corev1.LogStreamAll)
	if v != corev1.LogStreamAll && v != corev1.LogStreamStdout && v != corev1.LogStreamStderr {
		q.err = fmt.Errorf("%s must be All, Stdout or Stderr", name)
	}
	return &v
}

// selected are the lines that the options ask for.
func selected(lines []logLine, o *corev1.PodLogOptions, now time.Time) []logLine {
	switch {
	case o.SinceSeconds != nil:
		lines = since(lines, now.Add(-time.Duration(min(*o.SinceSeconds, maxSeconds))*time.Second))
	case o.SinceTime != nil:
		lines = since(lines, o.SinceTime.Time)
	}
	if o.TailLines != nil {
		lines = lines[max(0, int64(len(lines))-*o.TailLines):]
	}
	return lines
}

// maxSeconds is as far back as a time.Duration reaches.
const maxSeconds = int64(1<<63-1) / int64(time.Second)

// since drops the lines before a time. One without a time was written before
// the next that has one, and counts as that; if none has, all are new.
func since(lines []logLine, t time.Time) []logLine {
	for i := len(lines) - 1; i >= 0; i-- {
		if !lines[i].at.IsZero() && lines[i].at.Before(t) {
			return lines[i+1:]
		}
	}
	return lines
}

// follow writes what is logged from now on, until the client goes, the limit is
// reached, or the board stays away.
func follow(ctx context.Context, cursor *logCursor, out *logWriter) error {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	answered := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		lines, refused := cursor.next(ctx)
		switch {
		case refused == nil:
			answered = time.Now()
		case time.Since(answered) > followPatience:
			return refused
		}
		if err := out.write(lines); err != nil {
			return err
		}
	}
}

// logWriter writes lines to the client, and io.EOF says that the limit of bytes
// is reached.
type logWriter struct {
	c          *call
	timestamps bool
	left       int64 // bytes; negative: any number
}

func (l *logWriter) write(lines []logLine) error {
	l.c.extendWrite()
	for i := range lines {
		if err := l.writeLine(&lines[i]); err != nil {
			return err
		}
	}
	return http.NewResponseController(l.c.w).Flush()
}

func (l *logWriter) writeLine(line *logLine) error {
	text := line.text + "\n"
	if l.timestamps {
		text = line.when + " " + text
	}
	if l.left >= 0 {
		text = text[:min(int64(len(text)), l.left)]
		l.left -= int64(len(text))
	}
	if _, err := io.WriteString(l.c.w, text); err != nil {
		return err
	}
	if l.left == 0 {
		return io.EOF
	}
	return nil
}
