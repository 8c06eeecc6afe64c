// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"testing"
	"time"
)

// connectBy returns links that are up with a gateway that has keys, and a board that
// knows it by one of them.
func connectBy(t testing.TB, known PublicKey, keys ...Key) *pair {
	t.Helper()
	p := newPairBy(t, known, keys...)
	p.exchange()
	p.gateway.Admit(p.now)
	p.exchange()
	p.checkUp()
	return p
}

func newPairBy(t testing.TB, known PublicKey, keys ...Key) *pair {
	t.Helper()
	board, gateway := boardConfig(10), gatewayConfig(20)
	board.GatewayKey, gateway.Key, gateway.MoreKeys = known, keys[0], keys[1:]
	p := &pair{t: t, board: newLink(t, board), gateway: newLink(t, gateway)}
	p.board.Start(0)
	p.gateway.Start(0)
	return p
}

func withMoreKeys(c Config, keys ...Key) Config {
	c.MoreKeys = keys
	return c
}

func TestGatewayIsKnownByEachOfItsKeys(t *testing.T) {
	t.Parallel()
	keys := []Key{gatewayKey, fixedKey(4), fixedKey(5)}
	for _, k := range keys {
		p := connectBy(t, k.Public, keys...)
		if p.gateway.OwnKey() != k.Public || p.gateway.Peer() != boardKey.Public {
			t.Errorf("gateway: known by %v to %v, want %v, %v", p.gateway.OwnKey(), p.gateway.Peer(), k.Public, boardKey.Public)
		}
		p.open(p.board, p.gateway, 0)
		if got := p.send(p.board, p.gateway, 0, []byte("hello")); string(got) != "hello" {
			t.Errorf("read %q", got)
		}
	}
}

func TestGatewayKeysUnknown(t *testing.T) {
	t.Parallel()
	keys := []Key{gatewayKey, fixedKey(4), fixedKey(5)}
	p := newPairBy(t, otherKey.Public, keys...)
	p.exchange()
	if p.gateway.Err() != ErrHandshake || len(p.gateway.Pending()) > 0 {
		t.Errorf("gateway: %v with %d bytes pending, want ErrHandshake and silence", p.gateway.Err(), len(p.gateway.Pending()))
	}
	c := gatewayConfig(20)
	if c.MoreKeys = make([]Key, MaxGatewayKeys); new(Link).Configure(c) != ErrConfig {
		t.Error("more than MaxGatewayKeys keys are accepted")
	}
	if c.MoreKeys = make([]Key, 1); new(Link).Configure(c) != ErrKey {
		t.Error("an empty key is accepted")
	}
}

// A replay of a first message for the last key gets no further than one for the first.
func TestReplayForAnotherKeyGetsNowhere(t *testing.T) {
	t.Parallel()
	keys := []Key{gatewayKey, fixedKey(4)}
	p := newPairBy(t, keys[1].Public, keys...)
	first := p.tap(p.board)
	p.gateway.Receive(0, first)
	p.carry(p.gateway, p.board)
	hello := p.tap(p.board)
	victim := newLink(t, withMoreKeys(gatewayConfig(99), keys[1]))
	victim.Start(0)
	victim.Receive(0, first)
	victim.Receive(0, hello)
	if victim.Asking() || victim.Err() != ErrFrame {
		t.Errorf("asking %v, %v; want ErrFrame", victim.Asking(), victim.Err())
	}
}

func TestAnnouncement(t *testing.T) {
	t.Parallel()
	for _, want := range []Announcement{{Key: otherKey.Public}, {Key: otherKey.Public, Only: true}} {
		p := connect(t)
		p.gateway.Announce(want)
		p.exchange()
		if got, ok := p.board.Announced(); !ok || got != want {
			t.Fatalf("the board got %v, %v, want %v", got, ok, want)
		}
		if _, ok := p.board.Announced(); ok {
			t.Error("an announcement is given twice")
		}
		if _, ok := p.gateway.Acknowledged(); ok {
			t.Error("acknowledged before the board has stored it")
		}
		p.board.Acknowledge()
		p.exchange()
		if got, ok := p.gateway.Acknowledged(); !ok || got != want {
			t.Errorf("acknowledged %v, %v, want %v", got, ok, want)
		}
		if _, ok := p.gateway.Acknowledged(); ok {
			t.Error("an acknowledgment is given twice")
		}
		p.checkUp()
	}
}

// What is announced before the link is up waits for it, and the latest counts.
func TestAnnouncementReplaced(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.gateway.Announce(Announcement{Key: boardKey.Public})
	p.exchange()
	p.gateway.Admit(0)
	p.gateway.Announce(Announcement{Key: otherKey.Public})
	p.exchange()
	if got, ok := p.board.Announced(); !ok || got.Key != otherKey.Public {
		t.Fatalf("%v, %v", got, ok)
	}
	p.board.Acknowledge()
	late := p.tap(p.board)
	p.gateway.Announce(Announcement{Key: gatewayKey.Public})
	p.gateway.Receive(0, late)
	if got, ok := p.gateway.Acknowledged(); ok {
		t.Errorf("a late acknowledgment counts for %v", got)
	}
}

// Firmware that does not take announcements would end the link at one: it gets none.
func TestAnnouncementToOldFirmware(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.exchange()
	p.gateway.Admit(0)
	p.carry(p.gateway, p.board)
	p.board.pong = false // which old firmware does not send
	p.gateway.Announce(Announcement{Key: otherKey.Public})
	p.exchange()
	if _, ok := p.board.Announced(); ok || p.gateway.announceDue() {
		t.Error("old firmware gets an announcement")
	}
	for range 5 { // Pings of both, and the Pongs to them
		p.now += DefaultIdle * 5 / 4
		p.gateway.Tick(p.now)
		p.exchange()
	}
	p.checkUp()
	if _, ok := p.board.Announced(); ok {
		t.Error("old firmware gets an announcement after the Pong to a Ping")
	}
}

// An old gateway ignores the Pong by which a board says that it takes announcements.
func TestUnaskedPongIsOneByte(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.exchange()
	p.gateway.Admit(0)
	p.carry(p.gateway, p.board)
	frame := p.tap(p.board)
	p.gateway.outStart, p.gateway.outEnd = 0, 0
	plain, err := p.gateway.rx.open(frame[lengthSize:])
	if err != nil || !bytes.Equal(plain, []byte{record(recordPong, 0)}) {
		t.Errorf("the board's first frame is %x, %v, want a Pong", plain, err)
	}
}

func TestExtensionRecords(t *testing.T) {
	t.Parallel()
	good := join(record(recordKeys, 0), []byte{announcementSize, 0}, otherKey.Public[:])
	for name, test := range map[string]struct {
		plain []byte
		want  error
		fresh bool
	}{
		"announcement":               {good, nil, true},
		"flags for later":            {join(record(recordKeys, 0), []byte{announcementSize, 0xfe}, otherKey.Public[:]), nil, true},
		"something behind":           {append(bytes.Clone(good), record(recordPing, 0)), nil, true},
		"cut":                        {good[:len(good)-1], ErrRecord, false},
		"without a length":           {good[:1], ErrRecord, false},
		"without a key":              {join(record(recordKeys, 0), []byte{0}), ErrRecord, false},
		"short":                      {join(record(recordKeys, 0), []byte{2, 0, 1}), ErrRecord, false},
		"for a stream":               {join(record(recordKeys, 1), good[1:]), ErrRecord, false},
		"unknown":                    {[]byte("\xd0\x03abc\x50"), nil, false},
		"unknown, the last":          {[]byte("\xf0\x00\x50"), nil, false},
		"unknown, longer than it is": {[]byte("\xf0\x04abc"), ErrRecord, false},
	} {
		p := connect(t)
		p.gateway.seal(append(p.gateway.plain(), test.plain...))
		p.carry(p.gateway, p.board)
		if _, fresh := p.board.Announced(); p.board.Err() != test.want || fresh != test.fresh {
			t.Errorf("%s: %v, announced %v, want %v, %v", name, p.board.Err(), fresh, test.want, test.fresh)
		}
	}
}

// A board cannot announce, and what it echoes counts only if it was announced.
func TestAnnouncementByABoard(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for _, a := range []Announcement{{}, {Key: otherKey.Public}, {Key: otherKey.Public, Only: true}} {
		p.board.keys.last = a
		p.board.Acknowledge()
		p.exchange()
		if got, ok := p.gateway.Acknowledged(); ok {
			t.Errorf("%v was never announced, and is acknowledged", got)
		}
	}
	if p.board.Announce(Announcement{Key: otherKey.Public}); p.board.keys.due {
		t.Error("a board announces")
	}
	if p.gateway.Acknowledge(); p.gateway.keys.due {
		t.Error("a gateway acknowledges")
	}
	p.checkUp()
}

// Announcements take their turn in frames with data, and wake nobody for nothing.
func TestAnnouncementsBetweenData(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 0)
	for i := range 50 {
		p.gateway.Announce(Announcement{Key: fixedKey(uint64(i + 10)).Public})
		want := pattern(1 + 90*i)
		if got := p.send(p.gateway, p.board, 0, want); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes were read as %d", len(want), len(got))
		}
		if _, ok := p.board.Announced(); !ok {
			t.Fatalf("announcement %d was lost", i)
		}
		p.now += time.Second
	}
	p.checkUp()
}
