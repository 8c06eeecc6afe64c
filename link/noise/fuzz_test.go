// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzHandshake gives both roles anything instead of a handshake, in two pieces.
func FuzzHandshake(f *testing.F) {
	p := newPair(f)
	first := p.tap(p.board)
	p.gateway.Receive(0, first)
	second := p.tap(p.gateway)
	f.Add(first, 5)
	f.Add(second, 50)
	f.Add(first[:40], 0)
	f.Add(framed(firstSize, version, pattern(200)), 1)
	other := newPairBy(f, otherKey.Public, otherKey)
	f.Add(other.tap(other.board), 7)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		cut = max(0, min(cut, len(wire)))
		for name, c := range map[string]Config{"board": boardConfig(10), "gateway": gatewayConfig(20), "gateway with two keys": withMoreKeys(gatewayConfig(20), otherKey)} {
			l := newLink(t, c)
			l.Start(0)
			l.Sent(0, len(l.Pending()))
			l.Receive(1, wire[:cut])
			l.Receive(2, wire[cut:])
			if l.Up() || l.Asking() || l.Output().Wake <= 0 {
				t.Fatalf("%s: up %v, asking %v, wake %v", name, l.Up(), l.Asking(), l.Output().Wake)
			}
			if l.Tick(HandshakeTime + 2); l.Err() == nil {
				t.Fatalf("%s: goes on after %v", name, HandshakeTime)
			}
		}
	})
}

// FuzzFrames gives a link that is up anything instead of frames, after one good one.
func FuzzFrames(f *testing.F) {
	gateway, frames := recorded(f, 3)
	f.Add(frames[1])
	f.Add(bytes.Join(frames[1:], nil))
	f.Add(frames[0])
	f.Add([]byte{0, 17})
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, err := try(gateway, append(bytes.Clone(frames[0]), wire...))
		if !bytes.HasPrefix([]byte("\x00x\x00\x01x\x01\x02x\x02"), got) || err == nil {
			t.Fatalf("read %q, %v", got, err)
		}
	})
}

// FuzzRecords is a peer that has the keys and says anything. The link takes it or
// ends, keeps its books in order, and does not answer at length.
func FuzzRecords(f *testing.F) {
	for _, plain := range []string{"\x12\x02data", "\x12\x50\x22", "\x12\x02x", "\x45\x00\x10", "\x70\x60", "\xb0\x02", "\x15\x05x", "\x25", "\xc0\x21\x01" + strings.Repeat("k", KeySize), "\xd0\x02ab\x50", "\xc0\x21"} {
		f.Add([]byte(plain), []byte("\x02more"), byte(2))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, act byte) {
		p := connect(t)
		p.gateway.Open(FirstServed)
		p.gateway.Announce(Announcement{Key: PublicKey([]byte(strings.Repeat("k", KeySize))), Only: true})
		p.exchange()
		for _, plain := range [][]byte{first, second} {
			if len(plain) == 0 || len(plain) > maxPlain || !p.board.Up() {
				return
			}
			p.board.outStart, p.board.outEnd = 0, 0
			p.board.seal(append(p.board.plain(), plain...))
			p.gateway.Receive(1, p.tap(p.board))
			p.checkBooks(p.gateway)
			p.act(p.gateway, act)
			p.checkBooks(p.gateway)
			if n := len(p.tap(p.gateway)); n > lengthSize+maxFrame {
				t.Fatalf("%d bytes pending", n)
			}
		}
		if p.gateway.Tick(time.Hour); p.gateway.Err() == nil {
			t.Fatal("the link outlives the silence")
		}
	})
}

// act does something that a driver could do.
func (p *pair) act(l *Link, what byte) {
	s := Stream(what & 15)
	switch what >> 4 {
	case 0:
		l.Accept()
	case 1:
		p.read(l, s)
	case 2:
		l.Close(s)
	case 3:
		l.Reset(s)
	case 4:
		l.Open(s)
	case 5:
		l.Send(1, s, pattern(300))
	case 6:
		l.End(1, EndShutdown)
	}
}

func (p *pair) checkBooks(l *Link) {
	p.t.Helper()
	for i := range l.streams {
		st := &l.streams[i]
		size := len(st.received.buf)
		if st.received.n < 0 || st.owed < 0 || st.received.n+st.owed > size || st.received.start >= size ||
			st.credit < 0 || st.credit > st.limit || st.own == idle && (st.peer != idle || st.received.n > 0) {
			p.t.Fatalf("stream %d: %+v", i, *st)
		}
	}
}
