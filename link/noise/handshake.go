// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "github.com/flynn/noise"

// version of the protocol: the first byte of each handshake message, and part of
// the prologue, so that nobody on the way can change it.
const version = 1

const prologue = "picolet link 1"

// Lengths of the handshake messages of IK (Noise specification, section 7.5), each
// behind the version. Their payloads are empty: what a board says of itself
// waits for the first frame, which nobody can replay and which stays secret
// even from a later thief of the gateway's key.
const (
	tagSize    = 16
	firstSize  = 1 + KeySize + (KeySize + tagSize) + tagSize // e, s, payload
	secondSize = 1 + KeySize + tagSize                       // e, payload
)

// shake prepares the handshake.
func (l *Link) shake() error {
	seed, err := draw(l.random)
	if err != nil {
		return err
	}
	c := noise.Config{
		CipherSuite: noise.NewCipherSuite(&dh{seed: seed, static: l.key.private},
			noise.CipherChaChaPoly, noise.HashSHA256),
		Random:        l.random, // which flynn/noise hands to dh alone
		Pattern:       noise.HandshakeIK,
		Initiator:     l.role == Board,
		Prologue:      []byte(prologue),
		StaticKeypair: noise.DHKey{Private: staticKey, Public: l.key.Public[:]},
	}
	if l.role == Board {
		c.PeerStatic = l.peer[:]
	}
	if l.handshake, err = noise.NewHandshakeState(c); err != nil {
		return ErrHandshake
	}
	return nil
}

// writeHandshake makes the handshake's next message the output.
func (l *Link) writeHandshake() error {
	message, first, second, err := l.handshake.WriteMessage(append(l.out[:2], version), nil)
	if err != nil {
		return ErrHandshake // as from a peer's key of low order
	}
	putLength(message)
	l.outEnd = len(message)
	return l.split(first, second)
}

// readHandshake takes the peer's handshake message, without its length.
func (l *Link) readHandshake(p []byte) error {
	if p[0] != version {
		return ErrVersion
	}
	_, first, second, err := l.handshake.ReadMessage(nil, p[1:])
	if err != nil {
		return ErrHandshake
	}
	return l.split(first, second)
}

// split starts the two directions after the last message, and does nothing after
// the first. The first cipher is that of the initiator (section 5.2, Split).
func (l *Link) split(first, second *noise.CipherState) error {
	if first == nil {
		return nil
	}
	if l.role == Gateway {
		copy(l.peer[:], l.handshake.PeerStatic())
		first, second = second, first
	}
	l.handshake = nil
	var err error
	if l.tx, err = newHalf(first.UnsafeKey()); err != nil {
		return ErrHandshake
	}
	if l.rx, err = newHalf(second.UnsafeKey()); err != nil {
		return ErrHandshake
	}
	return nil
}

// onFirst answers a board's first message. That costs five operations with keys, and
// one for each key that the message was not made for; a replayed one is found out by
// the frame that must follow.
func (l *Link) onFirst(p []byte) error {
	err := l.readFirst(p)
	for len(l.more) > 0 && err == ErrHandshake {
		l.key, l.more = l.more[0], l.more[1:]
		err = l.readFirst(p)
	}
	if err != nil {
		return err
	}
	l.state = awaitHello
	return l.writeHandshake()
}

// readFirst tries the first message with the own key.
func (l *Link) readFirst(p []byte) error {
	if err := l.shake(); err != nil {
		return err
	}
	return l.readHandshake(p)
}

// onSecond takes the gateway's answer, and introduces the board.
func (l *Link) onSecond(p []byte) error {
	if err := l.readHandshake(p); err != nil {
		return err
	}
	l.state = awaitVerdict
	b := l.appendWindows(append(l.plain(), record(recordHello, 0)))
	l.seal(l.hello.append(b))
	l.hello.JoinToken = ""
	return nil
}

// onHello is where a board has proved that it holds its key, and not before.
func (l *Link) onHello(p []byte) error {
	if p[0] != record(recordHello, 0) {
		return ErrRecord
	}
	p, err := l.parseWindows(p[1:])
	if err != nil {
		return err
	}
	if err := l.hello.parse(p); err != nil {
		return err
	}
	l.state = asking
	return nil
}

func (l *Link) onVerdict(p []byte) error {
	switch p[0] {
	case record(recordAdmit, 0):
		p, err := l.parseWindows(p[1:])
		if err != nil || len(p) > 0 {
			return ErrRecord
		}
		l.state, l.pong = up, true // see onPong
		return nil
	case record(recordRefuse, 0):
		if len(p)-1 > MaxRefusal {
			return ErrRecord
		}
		l.refusal = string(text(nil, string(l.cutDelay(p[1:]))))
		l.end(ErrRefused)
		return nil
	}
	return ErrRecord
}
