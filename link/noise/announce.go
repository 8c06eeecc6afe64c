// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

// MaxGatewayKeys bounds the keys that a gateway tries on a board's first message:
// one in use, the next one and the previous one.
const MaxGatewayKeys = 3

// Announcement is what a gateway says of its keys, on a link that one of them has
// authenticated.
type Announcement struct {
	Key  PublicKey // the newest
	Only bool      // the gateway has no other one any more
}

// announcementSize is the length of an encoded Announcement: flags and the key.
const announcementSize = 1 + KeySize

const flagOnly = 1 // other flags are for later, and ignored

// announcing is how far an Announcement has come. A gateway sends it and waits for
// its echo; a board receives it and echoes it, once it has stored the key.
type announcing struct {
	last  Announcement
	takes bool // gateway: the board takes announcements
	asked bool // gateway: a Ping was sent, so that a Pong need not be unasked
	due   bool // last is to be sent
	fresh bool // received, and not yet seen by the driver
}

// Announce sends a to the board, when the link is up. It takes the place of one that
// was not sent yet. A board whose firmware knows no announcements gets none.
func (l *Link) Announce(a Announcement) {
	if l.role == Gateway {
		l.keys.last, l.keys.due, l.keys.fresh = a, true, false
	}
}

// Announced gives what the gateway has announced, each announcement once.
func (l *Link) Announced() (a Announcement, ok bool) {
	if l.role != Board || !l.keys.fresh {
		return Announcement{}, false
	}
	l.keys.fresh = false
	return l.keys.last, true
}

// Acknowledge tells the gateway that its last announcement was stored.
func (l *Link) Acknowledge() {
	if l.role == Board {
		l.keys.due = true
	}
}

// Acknowledged gives the announcement that the board has stored, each once.
func (l *Link) Acknowledged() (a Announcement, ok bool) {
	if l.role != Gateway || !l.keys.fresh {
		return Announcement{}, false
	}
	l.keys.fresh = false
	return l.keys.last, true
}

// OwnKey is the public key that the peer knows this end by: of a gateway with several,
// the one that the board used. A gateway must not use it before Asking.
func (l *Link) OwnKey() PublicKey { return l.key.Public }

// announceDue reports whether an Announcement or its echo can go out.
func (l *Link) announceDue() bool {
	return l.keys.due && (l.role == Board || l.keys.takes)
}

func (l *Link) appendAnnouncement(b []byte) []byte {
	l.keys.due = false
	var flags byte
	if l.keys.last.Only {
		flags = flagOnly
	}
	b = append(b, record(recordKeys, 0), announcementSize, flags)
	return append(b, l.keys.last.Key[:]...)
}

// onPong notes a Pong that no Ping has asked for: by it a board says that it takes
// extensions. Firmware without them never sends one, and gateways without them
// ignore it.
func (l *Link) onPong() { l.keys.takes = l.keys.takes || !l.keys.asked }

// onExtension takes a record that has its length in its second byte. Those that are
// not known are skipped.
func (l *Link) onExtension(k kind, p []byte) ([]byte, error) {
	if len(p) == 0 || len(p)-1 < int(p[0]) {
		return nil, ErrRecord
	}
	value, rest := p[1:1+int(p[0])], p[1+int(p[0]):]
	if k != recordKeys {
		return rest, nil
	}
	if len(value) != announcementSize {
		return nil, ErrRecord
	}
	l.onAnnouncement(Announcement{Key: PublicKey(value[1:]), Only: value[0]&flagOnly != 0})
	return rest, nil
}

// onAnnouncement takes an announcement on a board, and its echo on a gateway. An echo
// of another announcement is late: the one that counts is under way.
func (l *Link) onAnnouncement(a Announcement) {
	switch {
	case l.role == Board:
		l.keys.last, l.keys.fresh, l.keys.due = a, true, false
	case a == l.keys.last && a.Key != (PublicKey{}) && !l.keys.due:
		l.keys.fresh = true
	}
}
