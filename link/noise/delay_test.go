// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"strings"
	"testing"
	"time"
)

func TestDelayOfEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ set, want time.Duration }{
		{0, 0}, {time.Second, time.Second}, {1500 * time.Millisecond, 2 * time.Second}, {MaxDelay, MaxDelay},
		{time.Hour, MaxDelay}, {-time.Second, 0},
	} {
		p := connect(t)
		p.gateway.SetDelay(tt.set)
		p.gateway.End(p.now, EndShutdown)
		p.exchange()
		if p.board.Err() != ErrEnded || p.board.Reason() != EndShutdown || p.board.Delay() != tt.want {
			t.Errorf("%v: board %v, %v, delay %v", tt.set, p.board.Err(), p.board.Reason(), p.board.Delay())
		}
	}
}

// An End of a peer that knows no delays has none, and one of a peer that knows more
// than this end is taken as far as it is known.
func TestEndOfOtherVersions(t *testing.T) {
	t.Parallel()
	end := record(recordEnd, 0)
	for name, tt := range map[string]struct {
		sent  []byte
		delay time.Duration
	}{
		"without a delay":       {[]byte{end, byte(EndRevoked)}, 0},
		"with a delay":          {[]byte{end, byte(EndRevoked), 5}, 5 * time.Second},
		"with a delay and more": {[]byte{end, byte(EndRevoked), 5, 6, 7, 8}, 5 * time.Second},
	} {
		p := connect(t)
		p.gateway.seal(append(p.gateway.plain(), tt.sent...))
		p.exchange()
		if p.board.Err() != ErrEnded || p.board.Reason() != EndRevoked || p.board.Delay() != tt.delay {
			t.Errorf("%s: board %v, %v, delay %v", name, p.board.Err(), p.board.Reason(), p.board.Delay())
		}
	}
}

func TestDelayOfRefusal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*MaxRefusal)
	for _, tt := range []struct {
		delay      time.Duration
		text, want string
	}{
		{0, "not you", "not you"}, {2 * time.Second, "not yet", "not yet"}, {MaxDelay, "", ""},
		{0, long, long[:MaxRefusal]}, {time.Second, long, long[:MaxRefusal-1]},
	} {
		p := newPair(t)
		p.exchange()
		p.gateway.SetDelay(tt.delay)
		p.gateway.Refuse(p.now, tt.text)
		p.exchange()
		if p.board.Err() != ErrRefused || p.board.Refusal() != tt.want || p.board.Delay() != tt.delay {
			t.Errorf("%v %q: board %v, %q, delay %v", tt.delay, tt.text, p.board.Err(), p.board.Refusal(), p.board.Delay())
		}
	}
}

// The next connection knows nothing of the last one's delay.
func TestDelayEndsWithItsLink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.gateway.SetDelay(5 * time.Second)
	p.gateway.End(p.now, EndShutdown)
	p.exchange()
	if err := p.board.Configure(boardConfig(11)); err != nil || p.board.Delay() != 0 {
		t.Errorf("%v, delay %v", err, p.board.Delay())
	}
}
