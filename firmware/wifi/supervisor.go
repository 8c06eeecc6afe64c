// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"math"
	"time"

	"github.com/picolet/picolet/board"
)

// Times of the supervisor.
const (
	// joinTimeout is how long the chip may take to join, as its driver allows.
	joinTimeout = 10 * time.Second
	// Backoff after a failure, doubled at each in a row. A network that comes
	// back is joined within the longest.
	firstRetry = time.Second
	lastRetry  = 10 * time.Second
	// A refused passphrase does not get right by asking, and some access points
	// shut out who asks often.
	firstRefusedRetry = 5 * time.Second
	lastRefusedRetry  = 30 * time.Second
	// powerCycleAfter is how many failures to join in a row make the chip suspect: some
	// five minutes of them.
	powerCycleAfter = 32
	// maxSilence is how long a network that was joined may bring no frame for this board
	// alone. A board hears from somebody each few seconds, or else asks DHCP each minute:
	// an access point that has forgotten it passes nothing on, without a word.
	maxSilence = 5 * time.Minute
	// maxBusErrors is how many exchanges fail, without a word of the chip between them, until
	// it loses power.
	maxBusErrors = 3

	never = time.Duration(math.MaxInt64)
)

// action is what the supervisor wants done.
type action uint8

const (
	noAction action = iota
	powerUp         // power-cycle and start the chip, then tell powered
	join            // ask the chip to join, then tell asked
)

// phase is how far the way into the network has been gone.
type phase uint8

const (
	unpowered phase = iota
	idle            // the chip runs and has not been asked to join
	joining
	joined
)

// supervisor decides when to start the chip and when to join. Its zero value
// starts at once. It has no clock: now is the time since boot.
type supervisor struct {
	// random decides the jitter of retries. Optional [all boards alike].
	random uint64

	phase     phase
	state     board.NetworkState
	since     time.Duration
	begun     [board.NumNetworkStates]uint32
	at        time.Duration // of the next action, or the end of joining or of silence
	failures  int           // in a row, to join
	starts    int           // in a row, that failed
	busErrors int           // since the chip said something
	silent    bool          // the last network was left for its silence
}

// step returns what is due at now.
func (s *supervisor) step(now time.Duration) action {
	if now < s.at {
		return noAction
	}
	switch s.phase {
	case unpowered:
		return powerUp
	case idle:
		s.phase, s.at = joining, now+joinTimeout
		return join
	case joining:
		s.failed(now, notJoined)
	case joined:
		s.leave(now)
		s.silent = true
		return powerUp
	}
	return noAction
}

// wake is when step has something to do.
func (s *supervisor) wake() time.Duration { return s.at }

// powered tells how the start of the chip ended.
func (s *supervisor) powered(now time.Duration, err error) {
	s.busErrors = 0
	if err != nil {
		s.at = now + s.backoff(firstRetry, lastRetry, s.starts)
		s.starts++
		return
	}
	s.phase, s.at, s.starts = idle, now, 0
}

// asked tells whether the chip took the request to join. One that does not has
// to start anew.
func (s *supervisor) asked(now time.Duration, err error) {
	if err != nil {
		s.failed(now, notJoined)
		s.phase = unpowered
	}
}

// up tells that the network has been joined.
func (s *supervisor) up(now time.Duration) {
	if s.phase == joining {
		s.phase, s.failures, s.silent = joined, 0, false
		s.at = now + maxSilence
		s.enter(now, board.NetworkUp)
	}
}

// told takes an event of the chip. What happened before it was asked to join does not count.
func (s *supervisor) told(now time.Duration, e Event) {
	switch s.phase {
	case joining:
		if m := e.whileJoining(); m != nothing {
			s.failed(now, m)
		}
	case joined:
		if e.onceJoined() == linkIsGone {
			s.failed(now, linkIsGone)
		}
	}
}

// heard tells that the chip said something. Only that proves that it works: what
// is written to a chip that hangs is lost without an error.
func (s *supervisor) heard() { s.busErrors = 0 }

// exchangeFailed tells that an exchange with the chip failed. Too many of them take its power.
func (s *supervisor) exchangeFailed(now time.Duration) {
	if s.busErrors++; s.busErrors < maxBusErrors || s.phase == unpowered {
		return
	}
	s.leave(now)
}

// leave takes the chip's power, so that it starts again.
func (s *supervisor) leave(now time.Duration) {
	s.busErrors = 0
	if s.phase == joined {
		s.enter(now, board.NetworkNoAccessPoint)
	}
	s.phase, s.at = unpowered, now
}

// received notes a frame for this board alone.
func (s *supervisor) received(now time.Duration) {
	if s.phase == joined {
		s.at = now + maxSilence
	}
}

// failed acts on the end of joining, or of a network.
func (s *supervisor) failed(now time.Duration, why meaning) {
	s.phase, s.silent = idle, false
	first, last, state := firstRetry, lastRetry, board.NetworkNoAccessPoint
	if why == refused {
		first, last, state = firstRefusedRetry, lastRefusedRetry, board.NetworkWrongPassphrase
	}
	s.at = now + s.backoff(first, last, s.failures)
	s.failures++
	if s.failures%powerCycleAfter == 0 {
		s.phase = unpowered
	}
	s.enter(now, state)
}

// enter begins a state, unless it holds already.
func (s *supervisor) enter(now time.Duration, state board.NetworkState) {
	if s.state != state {
		s.state, s.since = state, now
		s.begun[state]++
	}
}

// backoff is how long to wait after a number of failures: first doubled with
// each up to last, and up to a quarter less.
func (s *supervisor) backoff(first, last time.Duration, failures int) time.Duration {
	d := min(first<<min(failures, 5), last)
	// Marsaglia's xorshift64: boards of one site must not retry in step.
	s.random ^= s.random << 13
	s.random ^= s.random >> 7
	s.random ^= s.random << 17
	return d - time.Duration(s.random%256)*(d/1024)
}

// Joined tells whether the board is in the network.
func (s *supervisor) Joined() bool { return s.phase == joined }

// State is NetworkOff before the first attempt has ended, NetworkUp in the
// network, else NetworkNoAccessPoint or NetworkWrongPassphrase.
func (s *supervisor) State() board.NetworkState { return s.state }

// ReadNetwork tells of the states that are the supervisor's. NetworkUp here
// says that the network is joined, no more.
func (s *supervisor) ReadNetwork(_ time.Duration, r *board.NetworkReadings) {
	r.State, r.Since, r.Begun = s.state, s.since, s.begun
}

var _ board.Network = (*supervisor)(nil)
