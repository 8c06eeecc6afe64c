// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "time"

// MaxDelay is the longest that SetDelay takes. A delay is one byte on the wire, which
// behind a refusal must not look like text.
const MaxDelay = 31 * time.Second

// SetDelay has the next End or Refuse ask the peer to wait so long before it dials again,
// in whole seconds, rounded up, MaxDelay at most. A peer that knows no delays ignores that of
// an End, and shows that of a refusal as a question mark.
func (l *Link) SetDelay(d time.Duration) {
	if l.state <= up {
		l.delay = uint8((min(max(d, 0), MaxDelay) + time.Second - 1) / time.Second)
	}
}

// Delay is how long the peer's End or refusal asked to wait, 0 if it did not.
func (l *Link) Delay() time.Duration { return time.Duration(l.delay) * time.Second }

// appendDelay ends an End or a refusal.
func (l *Link) appendDelay(b []byte) []byte {
	if l.delay > 0 {
		b = append(b, l.delay)
	}
	return b
}

// refusable leaves room for the delay in a refusal: a board takes MaxRefusal bytes.
func (l *Link) refusable(reason string) string {
	if l.delay > 0 {
		return reason[:min(len(reason), MaxRefusal-1)]
	}
	return reason
}

// cutDelay takes the delay off a refusal.
func (l *Link) cutDelay(p []byte) []byte {
	if n := len(p) - 1; n >= 0 && p[n] < ' ' {
		l.delay = p[n]
		return p[:n]
	}
	return p
}
