// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"errors"
	"testing"
	"time"

	"github.com/soypat/cyw43439/whd"

	"github.com/picolet/picolet/board"
)

// Events as the chip sends them.
var (
	notInReach   = Event{Type: whd.EvSET_SSID, Status: 3}
	wrongKey     = Event{Type: whd.EvPSK_SUP, Status: 8, Reason: 14}
	edgeOfReach  = Event{Type: whd.EvPSK_SUP, Status: 8, Reason: 15}
	keysAgreed   = Event{Type: whd.EvPSK_SUP, Status: 6}
	linkLost     = Event{Type: whd.EvLINK, Reason: 1}
	linkUp       = Event{Type: whd.EvLINK, Flags: 1}
	deauthorized = Event{Type: whd.EvDEAUTH_IND, Reason: 2}
)

var errBus = errors.New("bus")

// running is a supervisor whose chip has started and has been asked to join.
func running(t *testing.T) *supervisor {
	t.Helper()
	s := &supervisor{random: 1}
	if a := s.step(0); a != powerUp {
		t.Fatalf("first action is %d, want powerUp", a)
	}
	s.powered(0, nil)
	if a := s.step(0); a != join {
		t.Fatalf("second action is %d, want join", a)
	}
	s.asked(0, nil)
	return s
}

func inNetwork(t *testing.T) *supervisor {
	s := running(t)
	s.up(0)
	return s
}

func TestJoining(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []Event
		state  board.NetworkState
		next   action // at the time of wake
	}{
		"no network of that name":           {[]Event{notInReach}, board.NetworkNoAccessPoint, join},
		"wrong passphrase":                  {[]Event{linkUp, wrongKey, deauthorized}, board.NetworkWrongPassphrase, join},
		"passphrase refused by deauth only": {[]Event{linkUp, deauthorized}, board.NetworkWrongPassphrase, join},
		"passphrase refused by SAE":         {[]Event{{Type: whd.EvAUTH, Status: 1, Reason: 16}, {Type: whd.EvSET_SSID, Status: 1}}, board.NetworkWrongPassphrase, join},
		"another authentication failure":    {[]Event{{Type: whd.EvAUTH, Status: 2}, {Type: whd.EvSET_SSID, Status: 1}}, board.NetworkNoAccessPoint, join},
		"at the edge of its reach":          {[]Event{edgeOfReach}, board.NetworkNoAccessPoint, join},
		"another failure":                   {[]Event{{Type: whd.EvSET_SSID, Status: 1}}, board.NetworkNoAccessPoint, join},
		"disassociated by the access point": {[]Event{{Type: whd.EvDISASSOC_IND}}, board.NetworkNoAccessPoint, join},
		"good signs":                        {[]Event{linkUp, {Type: whd.EvSET_SSID}, keysAgreed}, board.NetworkOff, noAction},
		"the end of the network before":     {[]Event{linkLost, {Type: whd.EvDISASSOC}}, board.NetworkOff, noAction},
	} {
		s := running(t)
		for _, e := range c.events {
			s.told(time.Second, e)
		}
		if s.State() != c.state || s.Joined() {
			t.Errorf("%s: state %v, joined %v, want %v, false", name, s.State(), s.Joined(), c.state)
		}
		if a := s.step(s.wake()); a != c.next {
			t.Errorf("%s: then action %d at %v, want %d", name, a, s.wake(), c.next)
		}
	}
}

func TestAChipThatSaysNothingHasNotJoined(t *testing.T) {
	t.Parallel()
	s := running(t)
	if a := s.step(joinTimeout - 1); a != noAction || s.State() != board.NetworkOff {
		t.Errorf("before the time-out: action %d, state %v", a, s.State())
	}
	s.step(joinTimeout)
	if s.State() != board.NetworkNoAccessPoint {
		t.Errorf("state %v, want NoAccessPoint", s.State())
	}
	if a := s.step(s.wake()); a != join {
		t.Errorf("action %d, want join", a)
	}
}

func TestInANetwork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event Event
		lost  bool
	}{
		"out of reach":                      {linkLost, true},
		"deauthenticated":                   {deauthorized, true},
		"deauthenticated by this side":      {Event{Type: whd.EvDEAUTH}, true},
		"disassociated":                     {Event{Type: whd.EvDISASSOC}, true},
		"disassociated by the access point": {Event{Type: whd.EvDISASSOC_IND}, true},
		"link up again after roaming":       {linkUp, false},
		"keys refused while roaming":        {wrongKey, false},
		"new group keys":                    {keysAgreed, false},
	} {
		s := inNetwork(t)
		if s.wake() != maxSilence {
			t.Errorf("%s: wakes at %v in a network", name, s.wake())
		}
		s.told(time.Minute, c.event)
		if s.Joined() == c.lost {
			t.Errorf("%s: joined %v, want %v", name, s.Joined(), !c.lost)
		}
		if a := s.step(time.Hour); (a == join) != c.lost {
			t.Errorf("%s: action %d", name, a)
		}
	}
}

// delays are the pauses before each of n further attempts that end by e.
func delays(t *testing.T, s *supervisor, e Event, n int) (d []time.Duration) {
	t.Helper()
	now := time.Hour
	for range n {
		s.told(now, e)
		d = append(d, s.wake()-now)
		now = s.wake()
		if a := s.step(now); a == powerUp {
			s.powered(now, nil)
			s.step(now)
		}
		s.asked(now, nil)
	}
	return d
}

func TestBackoffGrowsToABound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event       Event
		first, last time.Duration
	}{
		"no network": {notInReach, firstRetry, lastRetry},
		"refused":    {wrongKey, firstRefusedRetry, lastRefusedRetry},
	} {
		full := c.first
		for i, d := range delays(t, running(t), c.event, 30) {
			if d > full || d < full-full/4 {
				t.Errorf("%s: pause %d is %v, want up to a quarter less than %v", name, i, d, full)
			}
			full = min(2*full, c.last)
		}
	}
}

func TestBackoffDiffersBetweenBoards(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for seed := range uint64(10) {
		s := running(t)
		s.random = seed + 1
		seen[delays(t, s, notInReach, 6)[5]] = true
	}
	if len(seen) < 8 {
		t.Errorf("10 boards have %d different pauses", len(seen))
	}
}

func TestANetworkThatWasJoinedEndsTheBackoff(t *testing.T) {
	t.Parallel()
	s := running(t)
	delays(t, s, notInReach, 5)
	s.up(2 * time.Hour)
	s.told(3*time.Hour, linkLost)
	if d := s.wake() - 3*time.Hour; d > firstRetry {
		t.Errorf("the first pause after a loss is %v", d)
	}
}

func TestAChipThatCannotJoinIsPowerCycled(t *testing.T) {
	t.Parallel()
	s := running(t)
	now, cycles := time.Hour, 0
	for range 3 * powerCycleAfter {
		s.told(now, notInReach)
		now = s.wake()
		if s.step(now) == powerUp {
			cycles++
			s.powered(now, nil)
			s.step(now)
		}
	}
	if cycles != 3 {
		t.Errorf("%d power cycles in %d failures, want 3", cycles, 3*powerCycleAfter)
	}
}

func TestAChipThatDoesNotStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	var s supervisor
	now := time.Duration(0)
	for i := range 20 {
		if a := s.step(now); a != powerUp {
			t.Fatalf("attempt %d: action %d, want powerUp", i, a)
		}
		s.powered(now, errBus)
		if d := s.wake() - now; d < firstRetry*3/4 || d > lastRetry {
			t.Fatalf("pause %d is %v", i, d)
		}
		now = s.wake()
	}
	if s.State() != board.NetworkOff {
		t.Errorf("state %v, want Off: no network has been looked for", s.State())
	}
}

func TestErrorsWithoutAWordOfTheChipTakeItsPower(t *testing.T) {
	t.Parallel()
	s := inNetwork(t)
	for range 10 {
		for range maxBusErrors - 1 {
			s.exchangeFailed(time.Second)
		}
		s.heard()
	}
	if !s.Joined() {
		t.Fatal("a chip that answers between errors lost its power")
	}
	for range maxBusErrors {
		s.exchangeFailed(time.Minute)
	}
	if s.Joined() || s.State() != board.NetworkNoAccessPoint || s.step(time.Minute) != powerUp {
		t.Errorf("joined %v, state %v after %d errors in a row", s.Joined(), s.State(), maxBusErrors)
	}
}

// An access point that has forgotten the board sends no word of it: when there was no
// frame for the board alone for a while, the chip is restarted.
func TestSilentNetworkIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Duration(0)
	c := &Chip{supervisor: *inNetwork(t), config: Config{Clock: func() time.Duration { return now }, Receive: func([]byte) {}}}
	own, all, group := []byte{2, 0, 0, 0, 0, 9}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{1, 0, 0x5e, 0, 0, 0xfb}
	for ; now < time.Hour; now += time.Minute {
		c.take(own)
		if a := c.step(now); a != noAction || !c.Joined() {
			t.Fatalf("at %v: action %d, joined %v, although frames come", now, a, c.Joined())
		}
	}
	last := now - time.Minute
	for ; now < last+maxSilence; now += time.Second {
		c.take(all)
		c.take(group)
		c.take(nil)
		if a := c.step(now); a != noAction {
			t.Fatalf("action %d, %v after the last frame", a, now-last)
		}
	}
	if a := c.step(c.wake()); a != powerUp || c.Joined() || c.State() != board.NetworkNoAccessPoint || !c.silent {
		t.Fatalf("action %d, joined %v, state %v, %v after the last frame", a, c.Joined(), c.State(), now-last)
	}
	c.powered(now, nil)
	if a := c.step(now); a != join {
		t.Errorf("action %d, want join", a)
	}
	c.up(now)
	if c.silent || c.wake() != now+maxSilence {
		t.Errorf("joined again: silent %v, wakes at %v", c.silent, c.wake())
	}
}

func TestARequestThatFailsTakesTheChipsPower(t *testing.T) {
	t.Parallel()
	s := &supervisor{}
	s.powered(0, nil)
	s.step(0)
	s.asked(0, errBus)
	if a := s.step(s.wake()); a != powerUp {
		t.Errorf("action %d, want powerUp", a)
	}
}

func TestStatesAreCounted(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.told(1, notInReach)
	s.step(time.Minute)
	s.told(time.Minute, notInReach) // still the same
	s.step(2 * time.Minute)
	s.told(2*time.Minute, wrongKey)
	s.step(3 * time.Minute)
	s.up(3 * time.Minute)
	s.told(4*time.Minute, linkLost)
	var r board.NetworkReadings
	s.ReadNetwork(5*time.Minute, &r)
	want := board.NetworkReadings{State: board.NetworkNoAccessPoint, Since: 4 * time.Minute}
	want.Begun[board.NetworkNoAccessPoint], want.Begun[board.NetworkWrongPassphrase], want.Begun[board.NetworkUp] = 2, 1, 1
	if r != want {
		t.Errorf("readings\n%+v, want\n%+v", r, want)
	}
}
