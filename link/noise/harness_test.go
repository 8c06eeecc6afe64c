// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"testing"
	"time"
)

// fakeRandom is a reproducible source of bytes that look random.
type fakeRandom struct{ state uint64 }

func (r *fakeRandom) Read(p []byte) (int, error) {
	for i := range p {
		r.state = r.state*6364136223846793005 + 1442695040888963407
		p[i] = byte(r.state >> 56)
	}
	return len(p), nil
}

// Keys that stay the same, since making them takes time under TinyGo.
var (
	boardKey   = fixedKey(1)
	gatewayKey = fixedKey(2)
	otherKey   = fixedKey(3)
)

func fixedKey(seed uint64) Key {
	private, err := GenerateKey(&fakeRandom{seed})
	if err != nil {
		panic(err)
	}
	k, err := NewKey(private)
	if err != nil {
		panic(err)
	}
	return k
}

var testHello = Hello{BoardID: "e6614103e7452d2f", NodeName: "pico-1", Version: "v0.3.0", JoinToken: "join-me"}

func boardConfig(seed uint64) Config {
	return Config{
		Role: Board, Key: boardKey, Random: &fakeRandom{seed}, GatewayKey: gatewayKey.Public,
		Hello: testHello, Receive: Buffers(make([]byte, BufferSize)),
	}
}

func gatewayConfig(seed uint64) Config {
	return Config{Role: Gateway, Key: gatewayKey, Random: &fakeRandom{seed}, Receive: Buffers(make([]byte, BufferSize))}
}

// pair is two links back to back, with a clock.
type pair struct {
	t              testing.TB
	now            time.Duration
	board, gateway *Link
}

func newLink(t testing.TB, c Config) *Link {
	t.Helper()
	l := new(Link)
	if err := l.Configure(c); err != nil {
		t.Fatal(err)
	}
	return l
}

// newPair returns links that have not spoken yet.
func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, board: newLink(t, boardConfig(10)), gateway: newLink(t, gatewayConfig(20))}
	p.board.Start(0)
	p.gateway.Start(0)
	return p
}

// connect returns links that are up.
func connect(t testing.TB) *pair {
	t.Helper()
	return connectTo(t, BufferSize)
}

// connectTo is connect with a gateway that has more memory for what it receives.
func connectTo(t testing.TB, memory int) *pair {
	t.Helper()
	p := newPair(t)
	c := gatewayConfig(20)
	c.Receive = Buffers(make([]byte, memory))
	p.gateway = newLink(t, c)
	p.gateway.Start(0)
	p.exchange()
	if !p.gateway.Asking() {
		t.Fatalf("the gateway does not ask: board %v, gateway %v", p.board.Err(), p.gateway.Err())
	}
	p.gateway.Admit(p.now)
	p.exchange()
	p.checkUp()
	return p
}

func (p *pair) checkUp() {
	p.t.Helper()
	if !p.board.Up() || !p.gateway.Up() {
		p.t.Fatalf("not up: board %v, gateway %v", p.board.Err(), p.gateway.Err())
	}
}

// carry moves what is pending from one end to the other, and tells whether that was
// anything.
func (p *pair) carry(from, to *Link) bool {
	b := from.Pending()
	n := to.Receive(p.now, b)
	from.Sent(p.now, n)
	return n > 0
}

// exchange moves bytes until both ends have said everything.
func (p *pair) exchange() {
	for p.carry(p.board, p.gateway) || p.carry(p.gateway, p.board) {
	}
}

// tap takes what a link has pending.
func (p *pair) tap(l *Link) []byte {
	b := bytes.Clone(l.Pending())
	l.Sent(p.now, len(b))
	return b
}

// send sends all of data on s, the other end reading as it comes.
func (p *pair) send(from, to *Link, s Stream, data []byte) (got []byte) {
	p.t.Helper()
	for rounds := 0; len(data) > 0; rounds++ {
		if rounds > 10000 {
			p.t.Fatalf("%d bytes are stuck", len(data))
		}
		data = data[from.Send(p.now, s, data):]
		p.exchange()
		got = append(got, p.read(to, s)...)
		p.exchange()
	}
	return got
}

// read takes all that a link has of a stream.
func (p *pair) read(l *Link, s Stream) (got []byte) {
	for len(l.Data(s)) > 0 {
		got = append(got, l.Data(s)...)
		l.Consumed(s, len(l.Data(s)))
	}
	return got
}

// open opens s at one end and accepts it at the other.
func (p *pair) open(from, to *Link, s Stream) {
	p.t.Helper()
	if !from.Open(s) {
		p.t.Fatalf("stream %d does not open", s)
	}
	p.exchange()
	if got, ok := to.Accept(); !ok || got != s {
		p.t.Fatalf("Accept: %d, %v, want %d", got, ok, s)
	}
}

// text is n bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	_, _ = (&fakeRandom{uint64(n)}).Read(b)
	return b
}

// ends returns the links with names.
func (p *pair) ends() map[string]*Link {
	return map[string]*Link{"board": p.board, "gateway": p.gateway}
}
