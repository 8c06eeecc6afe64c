// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/flynn/noise"
)

func TestHandshakeIntroducesTheBoard(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.exchange()
	if !p.gateway.Asking() || p.gateway.Up() || p.board.Up() {
		t.Fatalf("asking %v, up %v and %v", p.gateway.Asking(), p.gateway.Up(), p.board.Up())
	}
	if got := p.gateway.Peer(); got != boardKey.Public {
		t.Errorf("the gateway takes the board's key for %v, want %v", got, boardKey.Public)
	}
	if got := p.gateway.Hello(); got.BoardID != testHello.BoardID || got.NodeName != testHello.NodeName ||
		got.Version != testHello.Version || got.JoinToken != testHello.JoinToken {
		t.Errorf("the gateway heard %#v, want %#v", got, testHello)
	}
	if p.board.Hello().JoinToken != "" {
		t.Error("the board keeps the join token that it has sent")
	}
	p.gateway.Admit(p.now)
	p.exchange()
	p.checkUp()
}

func TestRefusalReachesTheBoard(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"device pico-1 is not approved": "device pico-1 is not approved",
		"bad\x1b[2J\nwords é":           "bad?[2J?words ??",
		strings.Repeat("x", 1000):       strings.Repeat("x", MaxRefusal),
		"":                              "",
	} {
		p := newPair(t)
		p.exchange()
		p.gateway.Refuse(p.now, reason)
		if p.gateway.Err() != nil {
			t.Error("the gateway's link ends before its refusal was sent")
		}
		p.exchange()
		if p.gateway.Err() != ErrRefused || p.board.Err() != ErrRefused || p.board.Refusal() != want {
			t.Errorf("gateway %v, board %v %q, want %q", p.gateway.Err(), p.board.Err(), p.board.Refusal(), want)
		}
	}
}

func TestHandshakeWithOtherKeys(t *testing.T) {
	t.Parallel()
	t.Run("the board expects another gateway", func(t *testing.T) {
		t.Parallel()
		p := newPair(t)
		c := boardConfig(10)
		c.GatewayKey = otherKey.Public
		p.board = newLink(t, c)
		p.board.Start(0)
		p.exchange()
		if p.gateway.Err() != ErrHandshake || len(p.gateway.Pending()) > 0 {
			t.Errorf("gateway: %v with %d bytes pending, want ErrHandshake and silence", p.gateway.Err(), len(p.gateway.Pending()))
		}
		p.board.PeerClosed(p.now)
		if p.board.Err() != ErrHandshakeCut {
			t.Errorf("board: %v, want ErrHandshakeCut", p.board.Err())
		}
	})
	t.Run("another gateway answers", func(t *testing.T) {
		t.Parallel()
		// It has the right public key, but not the private one.
		p := newPair(t)
		first := p.tap(p.board)
		thief := newLink(t, func() Config {
			c := gatewayConfig(30)
			c.Key.private = otherKey.private
			return c
		}())
		thief.Start(0)
		thief.Receive(0, first)
		if thief.Err() != ErrHandshake {
			t.Errorf("gateway without the key: %v, want ErrHandshake", thief.Err())
		}
	})
	t.Run("a board claims a key that it does not have", func(t *testing.T) {
		t.Parallel()
		p := newPair(t)
		c := boardConfig(10)
		c.Key.private = otherKey.private // its public key is still boardKey's
		p.board = newLink(t, c)
		p.board.Start(0)
		p.exchange()
		if p.gateway.Asking() || p.gateway.Err() != ErrHandshake {
			t.Errorf("gateway: asking %v, %v, want ErrHandshake", p.gateway.Asking(), p.gateway.Err())
		}
	})
}

// Whoever has listened can send a first message again, and the frame after it. The
// gateway answers, with keys that the listener cannot know; its callback hears
// nothing.
func TestReplayedHandshakeGetsNowhere(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	first := p.tap(p.board)
	p.gateway.Receive(0, first)
	p.carry(p.gateway, p.board)
	hello := p.tap(p.board)
	p.gateway.Receive(0, hello)
	if !p.gateway.Asking() {
		t.Fatal("the recorded handshake is not a good one")
	}
	random := &fakeRandom{99}
	c := gatewayConfig(0)
	c.Random = random
	victim := newLink(t, c)
	victim.Start(0)
	if n := victim.Receive(0, first); n != len(first) || victim.Asking() || victim.Err() != nil {
		t.Fatalf("after the first message: %d bytes taken, asking %v, %v", n, victim.Asking(), victim.Err())
	}
	if answer := victim.Pending(); len(answer) > len(first) {
		t.Errorf("the answer is %d bytes, longer than the %d of the message", len(answer), len(first))
	}
	victim.Receive(0, hello)
	if victim.Asking() || victim.Err() != ErrFrame || victim.Peer() != boardKey.Public {
		t.Errorf("after the replayed frame: asking %v, %v; want ErrFrame", victim.Asking(), victim.Err())
	}
	drawn := random.state
	if n := victim.Receive(0, first); n != 0 || random.state != drawn {
		t.Errorf("%d more bytes were taken and entropy drawn again: a replay must not cost more", n)
	}
}

// A gateway in between that only passes bytes on learns nothing and changes nothing;
// one that answers with what another board's gateway said gets nowhere either.
func TestAnswerOfAnotherHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	a, b := newPair(t), newPair(t)
	b.board = newLink(t, boardConfig(11))
	b.board.Start(0)
	a.carry(a.board, a.gateway)
	b.carry(b.board, b.gateway)
	b.board.Receive(0, a.tap(a.gateway))
	if b.board.Err() != ErrHandshake {
		t.Errorf("board: %v, want ErrHandshake", b.board.Err())
	}
}

func TestEveryFlippedBitOfAHandshakeIsFound(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	first := p.tap(p.board)
	p.gateway.Receive(0, first)
	second := p.tap(p.gateway)
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(first); i += step {
		bad := flip(first, i)
		g := newLink(t, gatewayConfig(20))
		g.Start(0)
		g.Receive(0, bad)
		if g.Err() == nil || len(g.Pending()) > 0 {
			t.Errorf("byte %d of the first message changed: %v, %d bytes pending", i, g.Err(), len(g.Pending()))
		}
	}
	for i := 0; i < len(second); i += step {
		b := newLink(t, boardConfig(10))
		b.Start(0)
		b.Receive(0, flip(second, i))
		if b.Err() == nil {
			t.Errorf("byte %d of the second message changed: not found", i)
		}
	}
}

func flip(p []byte, i int) []byte {
	b := bytes.Clone(p)
	b[i] ^= 1 << (i % 8)
	return b
}

func TestGarbageEndsAHandshakeAtOnce(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2, 3, firstSize - 1, firstSize, firstSize + 1, firstSize + 2, 1024, 4096, 1<<16 - 1, 1 << 16} {
		for name, garbage := range map[string][]byte{
			"zeros":  make([]byte, size),
			"random": pattern(size),
			"http":   bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), size/16+1)[:size],
			"framed": framed(firstSize, version, pattern(size)),
			"newer":  framed(firstSize, version+1, pattern(size)),
		} {
			g := newLink(t, gatewayConfig(20))
			g.Start(0)
			n := g.Receive(0, garbage)
			if n > lengthSize+firstSize || len(g.Pending()) > 0 || g.Asking() {
				t.Errorf("%d bytes, %s: %d taken, %d pending", size, name, n, len(g.Pending()))
			}
			if len(garbage) >= lengthSize+firstSize && g.Err() == nil {
				t.Errorf("%d bytes, %s: the link goes on", size, name)
			}
			if name == "newer" && len(garbage) >= lengthSize+firstSize && g.Err() != ErrVersion {
				t.Errorf("a newer version: %v, want ErrVersion", g.Err())
			}
			b := newLink(t, boardConfig(10))
			b.Start(0)
			if b.Receive(0, garbage); len(garbage) >= lengthSize+firstSize && b.Err() == nil {
				t.Errorf("%d bytes, %s: the board's link goes on", size, name)
			}
		}
	}
}

// framed is a message that has a length and a version and then anything.
func framed(size int, version byte, p []byte) []byte {
	return append(append(binary.BigEndian.AppendUint16(nil, uint16(size)), version), p...)
}

// A public key of low order would make the shared secret known to everybody (RFC
// 7748, section 6.1).
func TestKeysOfLowOrderAreRefused(t *testing.T) {
	t.Parallel()
	for _, ephemeral := range []PublicKey{{}, {1}} {
		g := newLink(t, gatewayConfig(20))
		g.Start(0)
		message := framed(firstSize, version, ephemeral[:])
		g.Receive(0, append(message, make([]byte, lengthSize+firstSize-len(message))...))
		if g.Err() != ErrHandshake {
			t.Errorf("ephemeral key %v: %v, want ErrHandshake", ephemeral, g.Err())
		}
	}
	c := boardConfig(10)
	c.GatewayKey = PublicKey{1}
	b := newLink(t, c)
	b.Start(0)
	if b.Err() != ErrHandshake {
		t.Errorf("gateway's key of low order: %v, want ErrHandshake", b.Err())
	}
}

// The messages are those of the Noise specification: flynn/noise takes them, with
// nothing of ours but the framing.
func TestHandshakeIsNoiseIK(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	peer, err := noise.NewHandshakeState(noise.Config{
		CipherSuite:   noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:        &fakeRandom{5},
		Pattern:       noise.HandshakeIK,
		Prologue:      []byte("picolet link 1"),
		StaticKeypair: noise.DHKey{Private: gatewayKey.private.Bytes(), Public: gatewayKey.Public[:]},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := peer.ReadMessage(nil, p.tap(p.board)[3:]); err != nil {
		t.Fatal(err)
	}
	answer, fromBoard, toBoard, err := peer.WriteMessage(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.board.Receive(0, append([]byte{0, byte(1 + len(answer)), 1}, answer...))
	hello, err := fromBoard.Decrypt(nil, nil, p.tap(p.board)[2:])
	if err != nil || !bytes.Contains(hello, []byte("pico-1")) {
		t.Fatalf("hello %q, %v", hello, err)
	}
	// Frames and new keys too.
	admit, _ := toBoard.Encrypt(nil, nil, append([]byte{record(recordAdmit, 0)}, bytes.Repeat([]byte{1, 0}, NumStreams)...))
	p.board.Receive(0, append([]byte{0, byte(len(admit))}, admit...))
	if !p.board.Up() {
		t.Fatal(p.board.Err())
	}
	p.board.Open(0)
	p.board.rekey = true
	for range 2 {
		p.board.Send(0, 0, []byte("bytes"))
		frame, err := fromBoard.Decrypt(nil, nil, p.tap(p.board)[2:])
		if err != nil || !bytes.HasSuffix(frame, []byte("bytes")) {
			t.Fatalf("frame %q, %v", frame, err)
		}
		if bytes.IndexByte(frame, record(recordRekey, 0)) >= 0 {
			fromBoard.Rekey()
		}
	}
	if p.board.tx.age() != 1 {
		t.Errorf("%d frames under the new key, want 1", p.board.tx.age())
	}
}

func TestHandshakeTimeOut(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(p *pair){
		"nothing is said":          func(*pair) {},
		"a byte now and then":      func(p *pair) { p.drip(p.tap(p.board)[:20]) },
		"no frame after it":        func(p *pair) { p.carry(p.board, p.gateway); p.carry(p.gateway, p.board) },
		"the gateway does not say": func(p *pair) { p.exchange() },
	} {
		p := newPair(t)
		stop(p)
		for end, l := range p.ends() {
			l.Tick(HandshakeTime - 1)
			if l.Err() != nil {
				t.Errorf("%s, %s: %v before its time", name, end, l.Err())
			}
			if wake := l.Output().Wake; wake != HandshakeTime {
				t.Errorf("%s, %s: wake at %v, want %v", name, end, wake, HandshakeTime)
			}
			l.Tick(HandshakeTime)
			if l.Err() != ErrHandshakeTimeout {
				t.Errorf("%s, %s: %v, want ErrHandshakeTimeout", name, end, l.Err())
			}
		}
	}
}

// drip gives the gateway bytes one by one over a long time.
func (p *pair) drip(b []byte) {
	for i := range b {
		p.now += HandshakeTime / 30
		p.gateway.Receive(p.now, b[i:i+1])
	}
}

func TestHelloFrames(t *testing.T) {
	t.Parallel()
	windows := bytes.Repeat([]byte{1, 0}, NumStreams)
	good := testHello.append(nil)
	for name, test := range map[string]struct {
		plain []byte
		want  error
	}{
		"good":            {join(record(recordHello, 0), windows, good), nil},
		"data":            {join(record(recordData, 0), windows, good), ErrRecord},
		"for a stream":    {join(record(recordHello, 1), windows, good), ErrRecord},
		"no windows":      {join(record(recordHello, 0), nil, nil), ErrRecord},
		"small windows":   {join(record(recordHello, 0), make([]byte, windowsSize), good), ErrRecord},
		"nothing more":    {join(record(recordHello, 0), windows, nil), ErrHello},
		"cut":             {join(record(recordHello, 0), windows, good[:len(good)-1]), ErrHello},
		"something after": {join(record(recordHello, 0), windows, append(bytes.Clone(good), 0)), ErrHello},
		"no name":         {join(record(recordHello, 0), windows, (&Hello{BoardID: "a", Version: "b"}).append(nil)), ErrHello},
		"control bytes":   {join(record(recordHello, 0), windows, (&Hello{"a", "b\n", "c", ""}).append(nil)), ErrHello},
		"long name":       {join(record(recordHello, 0), windows, (&Hello{"a", strings.Repeat("b", 64), "c", ""}).append(nil)), ErrHello},
	} {
		p := newPair(t)
		p.carry(p.board, p.gateway)
		p.carry(p.gateway, p.board)
		p.board.tx.frames-- // says its hello again, in the words of the test
		p.board.outEnd = 0
		p.board.seal(append(p.board.plain(), test.plain...))
		p.carry(p.board, p.gateway)
		if p.gateway.Err() != test.want || p.gateway.Asking() != (test.want == nil) {
			t.Errorf("%s: %v, asking %v, want %v", name, p.gateway.Err(), p.gateway.Asking(), test.want)
		}
	}
}

func join(first byte, rest ...[]byte) []byte {
	return append([]byte{first}, bytes.Join(rest, nil)...)
}

func TestVerdictFrames(t *testing.T) {
	t.Parallel()
	windows := bytes.Repeat([]byte{1, 0}, NumStreams)
	for name, test := range map[string]struct {
		plain []byte
		want  error
	}{
		"admitted":        {join(record(recordAdmit, 0), windows), nil},
		"something after": {join(record(recordAdmit, 0), windows, []byte{0}), ErrRecord},
		"cut":             {join(record(recordAdmit, 0), windows[1:]), ErrRecord},
		"data":            {join(record(recordData, 0), windows), ErrRecord},
		"refused":         {join(record(recordRefuse, 0), []byte("no")), ErrRefused},
		"long refusal":    {join(record(recordRefuse, 0), pattern(MaxRefusal+1)), ErrRecord},
	} {
		p := newPair(t)
		p.exchange()
		p.gateway.seal(append(p.gateway.plain(), test.plain...))
		p.carry(p.gateway, p.board)
		if p.board.Err() != test.want || p.board.Up() != (test.want == nil) {
			t.Errorf("%s: %v, up %v, want %v", name, p.board.Err(), p.board.Up(), test.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"good":           {func(*Config) {}, nil},
		"no role":        {func(c *Config) { c.Role = 0 }, ErrConfig},
		"no entropy":     {func(c *Config) { c.Random = nil }, ErrConfig},
		"idle too short": {func(c *Config) { c.Idle = 1 }, ErrConfig},
		"idle too long":  {func(c *Config) { c.Idle = never }, ErrConfig},
		"no buffers":     {func(c *Config) { c.Receive = [NumStreams][]byte{} }, ErrConfig},
		"huge buffer":    {func(c *Config) { c.Receive[3] = make([]byte, maxWindow+1) }, ErrConfig},
		"no key":         {func(c *Config) { c.Key = Key{} }, ErrKey},
		"no gateway":     {func(c *Config) { c.GatewayKey = PublicKey{} }, ErrKey},
		"no hello":       {func(c *Config) { c.Hello = Hello{} }, ErrHello},
		"long token":     {func(c *Config) { c.Hello.JoinToken = strings.Repeat("t", MaxJoinToken+1) }, ErrHello},
		"space in it":    {func(c *Config) { c.Hello.NodeName = "pico 1" }, ErrHello},
	} {
		c := boardConfig(1)
		test.change(&c)
		if err := new(Link).Configure(c); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
