// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/picolet/picolet/kubelet/logring"
)

var slogLevels = [...]slog.Level{
	logring.Debug: slog.LevelDebug,
	logring.Info:  slog.LevelInfo,
	logring.Warn:  slog.LevelWarn,
	logring.Error: slog.LevelError,
}

// mirrorLog logs what the kubelet logged since the last call.
func (r *runner) mirrorLog() {
	log, ring := r.node.opts.Log, r.k.Log()
	if log == nil || ring == nil {
		return
	}
	for {
		e, ok := ring.Next(r.cursor)
		if !ok {
			return
		}
		r.cursor = e.Seq
		if level := slogLevels[e.Level]; log.Enabled(context.Background(), level) {
			msg, attrs := parseLogfmt(string(e.Text))
			log.LogAttrs(context.Background(), level, msg, attrs...)
		}
	}
}

// parseLogfmt takes the text of a record apart.
func parseLogfmt(text string) (msg string, attrs []slog.Attr) {
	for text != "" {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			break // the mark of a record that was cut
		}
		var value string
		value, rest = cutValue(rest)
		switch key {
		case "msg":
			msg = value
		case "node": // the logger has it
		default:
			attrs = append(attrs, slog.String(key, value))
		}
		text = strings.TrimPrefix(rest, " ")
	}
	return msg, attrs
}

// cutValue splits off the value that s begins with.
func cutValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		if q, err := strconv.QuotedPrefix(s); err == nil {
			value, _ = strconv.Unquote(q)
			return value, s[len(q):]
		}
	}
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}
