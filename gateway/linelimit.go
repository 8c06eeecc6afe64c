// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A lineLimit bounds the warnings about one board, or one kind of thing: what goes
// wrong can do so a thousand times. Those beyond are lines of level Debug, and are counted in the next
// warning.
type lineLimit struct {
	lines      *rate.Limiter
	suppressed *atomic.Int64
}

// newLineLimit gives that many warnings at once, and one each 12 s.
func newLineLimit(burst int) lineLimit {
	return lineLimit{lines: rate.NewLimiter(rate.Every(12*time.Second), burst), suppressed: new(atomic.Int64)}
}

// warn logs a warning, if there is one left.
func (l lineLimit) warn(log *slog.Logger, message string, attrs ...any) {
	if !l.lines.AllowN(time.Now(), 1) {
		l.suppressed.Add(1)
		log.Debug(message, attrs...)
		return
	}
	if n := l.suppressed.Swap(0); n > 0 {
		attrs = append(attrs, "suppressed", n)
	}
	log.Log(context.Background(), slog.LevelWarn, message, attrs...)
}
