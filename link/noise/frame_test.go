// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// recorded is a link's gateway just after the handshake, and frames that its board
// sent since, each with a piece of the stream. A tampered copy of the frames can be
// tried on a gateway of the same state.
func recorded(t testing.TB, frames int) (gateway *Link, sent [][]byte) {
	p := connect(t)
	if !p.board.Open(0) {
		t.Fatal("stream 0 does not open")
	}
	for i := range frames {
		if p.board.Send(0, 0, []byte{byte(i), 'x', byte(i)}) != 3 {
			t.Fatalf("frame %d was not sent", i)
		}
		sent = append(sent, p.tap(p.board))
	}
	return p.gateway, sent
}

// try gives a copy of l what came over the wire, and returns what it read on stream
// 0, frame by frame, and how it ended.
func try(l *Link, wire []byte) (read []byte, err error) {
	c := *l
	buffers := Buffers(make([]byte, BufferSize))
	for i := range c.streams {
		c.streams[i].received.buf = buffers[i]
	}
	c.Accept()
	for len(wire) > 0 {
		n := c.Receive(0, wire[:min(len(wire), 7)])
		if n == 0 {
			break
		}
		wire = wire[n:]
		read = append(read, c.Data(0)...)
		c.Consumed(0, len(c.Data(0)))
	}
	c.PeerClosed(0)
	return read, c.Err()
}

func TestUntouchedFramesAreRead(t *testing.T) {
	t.Parallel()
	gateway, frames := recorded(t, 4)
	got, err := try(gateway, slices.Concat(frames...))
	if want := "\x00x\x00\x01x\x01\x02x\x02\x03x\x03"; string(got) != want || err != ErrTruncated {
		t.Errorf("read %q, %v, want %q and ErrTruncated", got, err, want)
	}
}

func TestEveryFlippedByteOfAFrameIsFound(t *testing.T) {
	t.Parallel()
	gateway, frames := recorded(t, 2)
	wire := slices.Concat(frames...)
	// More than a frame follows, so that a greater length cannot wait for ever.
	wire = append(wire, make([]byte, maxFrame)...)
	for i := range len(frames[0]) + len(frames[1]) {
		for bit := range 8 {
			bad := bytes.Clone(wire)
			bad[i] ^= 1 << bit
			got, err := try(gateway, bad)
			if err != ErrFrame && err != ErrFrameLength {
				if i < lengthSize && err == ErrTruncated {
					continue // a length of up to maxFrame that was not reached
				}
				t.Errorf("byte %d, bit %d: %v, want ErrFrame or ErrFrameLength", i, bit, err)
			}
			if i < len(frames[0]) && len(got) > 0 {
				t.Errorf("byte %d, bit %d: %q was read", i, bit, got)
			}
		}
	}
}

func TestFramesOutOfOrderEndTheLink(t *testing.T) {
	t.Parallel()
	gateway, f := recorded(t, 4)
	first := "\x00x\x00"
	for name, test := range map[string]struct {
		wire [][]byte
		read string
		want error
	}{
		"swapped":           {[][]byte{f[1], f[0]}, "", ErrFrame},
		"swapped later":     {[][]byte{f[0], f[2], f[1]}, first, ErrFrame},
		"left out":          {[][]byte{f[0], f[2], f[3]}, first, ErrFrame},
		"the first is lost": {[][]byte{f[1], f[2], f[3]}, "", ErrFrame},
		"repeated":          {[][]byte{f[0], f[0]}, first, ErrFrame},
		"repeated later":    {[][]byte{f[0], f[1], f[0]}, first + "\x01x\x01", ErrFrame},
		"cut":               {[][]byte{f[0], f[1][:len(f[1])-1], f[2]}, first, ErrFrame},
		"cut at the end":    {[][]byte{f[0], f[1][:len(f[1])-1]}, first, ErrTruncated},
		"cut in the length": {[][]byte{f[0], f[1][:1]}, first, ErrTruncated},
		"cut between":       {[][]byte{f[0]}, first, ErrTruncated},
		"nothing":           {nil, "", ErrTruncated},
	} {
		got, err := try(gateway, slices.Concat(test.wire...))
		if string(got) != test.read || err != test.want {
			t.Errorf("%s: read %q, %v, want %q, %v", name, got, err, test.read, test.want)
		}
	}
}

// Whatever somebody on the way does to a row of frames, the reader gets a beginning
// of what was sent and nothing else.
func TestTamperingNeverChangesWhatIsRead(t *testing.T) {
	t.Parallel()
	gateway, frames := recorded(t, 6)
	want, _ := try(gateway, slices.Concat(frames...))
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 500 {
		wire := tamper(r, frames)
		got, err := try(gateway, wire)
		if !bytes.HasPrefix(want, got) || err == nil {
			t.Fatalf("round %d: read %q, %v, sent %q", round, got, err, want)
		}
	}
}

// tamper does one to four things to copies of frames.
func tamper(r *rand.Rand, frames [][]byte) []byte {
	frames = slices.Clone(frames)
	for range 1 + r.IntN(4) {
		i, j := r.IntN(len(frames)), r.IntN(len(frames))
		switch r.IntN(5) {
		case 0:
			frames[i], frames[j] = frames[j], frames[i]
		case 1:
			frames[i] = frames[j]
		case 2:
			frames[i] = nil
		case 3:
			frames[i] = slices.Concat(frames[i], pattern(r.IntN(40)))
		case 4:
			if n := len(frames[i]); n > 0 {
				frames[i] = flip(frames[i], r.IntN(n))
			}
		}
	}
	return slices.Concat(frames...)
}

// A frame of one direction is not one of the other.
func TestReflectedFramesEndTheLink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.board.Open(0)
	p.board.Send(0, 0, []byte("mirror"))
	p.board.Receive(0, p.tap(p.board))
	if p.board.Err() != ErrFrame {
		t.Errorf("board: %v, want ErrFrame", p.board.Err())
	}
}

// Frames of another session of the same two ends do not fit.
func TestFramesOfAnotherSessionEndTheLink(t *testing.T) {
	t.Parallel()
	_, frames := recorded(t, 1)
	p := &pair{t: t, board: newLink(t, boardConfig(10)), gateway: newLink(t, gatewayConfig(21))}
	p.board.Start(0)
	p.gateway.Start(0)
	p.exchange()
	p.gateway.Admit(0)
	p.exchange()
	p.checkUp()
	p.gateway.Receive(0, frames[0])
	if p.gateway.Err() != ErrFrame {
		t.Errorf("gateway: %v, want ErrFrame", p.gateway.Err())
	}
}

func TestLengthsThatNoFrameHas(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, tagSize, maxFrame + 1, 1 << 15, 1<<16 - 1} {
		p := connect(t)
		if n := p.board.Receive(0, append([]byte{byte(size >> 8), byte(size)}, make([]byte, 1<<16)...)); n != lengthSize {
			t.Errorf("length %d: %d bytes taken, want %d", size, n, lengthSize)
		}
		if p.board.Err() != ErrFrameLength {
			t.Errorf("length %d: %v, want ErrFrameLength", size, p.board.Err())
		}
	}
}

func TestKeysChangeInBothDirections(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 0)
	for _, from := range []*Link{p.board, p.gateway} {
		from.tx.fresh = from.tx.frames - (rekeyFrames - 10) // as if so many were sent
	}
	p.gateway.rx.fresh = p.gateway.rx.frames - (rekeyFrames - 10)
	p.board.rx.fresh = p.board.rx.frames - (rekeyFrames - 10)
	want := pattern(40 * 300)
	if got := p.send(p.board, p.gateway, 0, want); !bytes.Equal(got, want) {
		t.Errorf("board to gateway: %d bytes, not what was sent; %v", len(got), p.gateway.Err())
	}
	if got := p.send(p.gateway, p.board, 0, want); !bytes.Equal(got, want) {
		t.Errorf("gateway to board: %d bytes, not what was sent; %v", len(got), p.board.Err())
	}
	for name, l := range p.ends() {
		if l.tx.fresh < 5 || l.rx.fresh < 5 || l.tx.age() > 100 || l.rx.age() > 100 {
			t.Errorf("%s: keys since frame %d and %d of %d and %d", name, l.tx.fresh, l.rx.fresh, l.tx.frames, l.rx.frames)
		}
	}
}

func TestKeysChangeWithTime(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.live(rekeyTime + time.Minute)
	for name, l := range p.ends() {
		if l.tx.fresh == 0 || l.rx.fresh == 0 {
			t.Errorf("%s: keys since frame %d and %d, want new ones", name, l.tx.fresh, l.rx.fresh)
		}
	}
}

// live lets time pass, both ends doing what they must.
func (p *pair) live(d time.Duration) {
	p.t.Helper()
	for end := p.now + d; p.now < end; {
		p.now = min(end, max(p.now+1, min(p.board.Output().Wake, p.gateway.Output().Wake)))
		p.board.Tick(p.now)
		p.gateway.Tick(p.now)
		p.exchange()
		p.checkUp()
	}
}

func TestWornKeyEndsTheLink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.gateway.rx.fresh = p.gateway.rx.frames - rekeyFrames
	p.board.ping = true
	p.exchange()
	if p.gateway.Err() != ErrKeyWorn {
		t.Errorf("gateway: %v, want ErrKeyWorn", p.gateway.Err())
	}
}

func TestPingsKeepASilentLink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	frames := p.board.tx.frames + p.gateway.tx.frames
	p.live(10 * DefaultIdle)
	if got := p.board.tx.frames + p.gateway.tx.frames - frames; got != 20 {
		t.Errorf("%d frames in ten idle times, want a ping of the board and a pong in each", got)
	}
}

func TestSilenceEndsALink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	pings := 0
	for p.board.Err() == nil {
		wake := p.board.Output().Wake
		if wake <= p.now {
			t.Fatalf("wake at %v, now %v", wake, p.now)
		}
		p.now = wake
		p.board.Tick(p.now)
		pings += len(p.tap(p.board)) / (lengthSize + 1 + tagSize)
	}
	if p.board.Err() != ErrSilent || p.now != 3*DefaultIdle || pings != 2 {
		t.Errorf("%v at %v after %d pings, want ErrSilent at %v after 2", p.board.Err(), p.now, pings, 3*DefaultIdle)
	}
}

// A peer may say much and listen to nothing.
func TestPeerThatDoesNotReadEndsALink(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.board.Open(0)
	p.board.Send(0, 0, pattern(100))
	p.board.Pending()
	for p.now < StallTime {
		p.now += time.Second
		p.gateway.ping = true
		p.carry(p.gateway, p.board)
		p.board.Tick(p.now)
	}
	if p.board.Err() != ErrStalled {
		t.Errorf("board: %v, want ErrStalled", p.board.Err())
	}
}

func TestEndIsToldInOrder(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 0)
	p.gateway.Send(0, 0, []byte("last words"))
	p.gateway.End(p.now, EndRevoked)
	if p.gateway.Err() != nil {
		t.Fatalf("gateway: %v before its End is sent", p.gateway.Err())
	}
	p.carry(p.gateway, p.board)
	if got := p.read(p.board, 0); string(got) != "last words" {
		t.Errorf("board read %q", got)
	}
	p.exchange()
	if p.gateway.Err() != ErrClosed || p.board.Err() != ErrEnded || p.board.Reason() != EndRevoked {
		t.Errorf("gateway %v, board %v: %v", p.gateway.Err(), p.board.Err(), p.board.Reason())
	}
	p.board.PeerClosed(p.now)
	p.board.Tick(p.now + time.Hour)
	if p.board.Err() != ErrEnded {
		t.Errorf("board: %v, the first reason must stay", p.board.Err())
	}
}

func TestConnectionLostAfterAnEndOfOurOwn(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.board.End(p.now, EndShutdown)
	p.board.PeerClosed(p.now)
	if p.board.Err() != ErrClosed {
		t.Errorf("board: %v, want ErrClosed", p.board.Err())
	}
}

// Every input of a link that has ended, or not started, does nothing.
func TestNothingRunsOutsideItsTime(t *testing.T) {
	t.Parallel()
	never := newLink(t, boardConfig(1))
	over := connect(t).board
	over.PeerClosed(0)
	for name, l := range map[string]*Link{"not started": never, "ended": over} {
		before := l.Err()
		l.Tick(time.Hour)
		l.Admit(time.Hour)
		l.Refuse(time.Hour, "no")
		l.Consumed(0, 5)
		l.Sent(time.Hour, 100)
		l.Close(0)
		l.Reset(NumStreams)
		if _, ok := l.Accept(); ok || l.Open(0) || l.Opens(0) || l.Send(0, 0, []byte("x")) != 0 || l.Receive(0, []byte("x")) != 0 ||
			len(l.Data(0)) != 0 || len(l.Data(NumStreams)) != 0 || len(l.Pending()) != 0 || l.Asking() || l.Up() {
			t.Errorf("%s: it does something", name)
		}
		if o := l.Output(); o.Writable|o.Data|o.Finished|o.Reset != 0 || o.Offered || o.Wake < 1000*time.Hour {
			t.Errorf("%s: %+v", name, o)
		}
		if l.Err() != before {
			t.Errorf("%s: %v, was %v", name, l.Err(), before)
		}
	}
}
