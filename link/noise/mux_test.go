// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestStreamsCarryBytesBothWays(t *testing.T) {
	t.Parallel()
	p := connect(t)
	want := pattern(10000)
	for s := range Stream(NumStreams) {
		opener, other := p.board, p.gateway
		if s >= FirstServed {
			opener, other = other, opener
		}
		p.open(opener, other, s)
		for _, dir := range [][2]*Link{{opener, other}, {other, opener}} {
			if got := p.send(dir[0], dir[1], s, want); !bytes.Equal(got, want) {
				t.Errorf("stream %d: %d bytes, not what was sent", s, len(got))
			}
		}
	}
}

func TestOpenAndFirstBytesShareAFrame(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.board.Open(0)
	p.board.Send(0, 0, []byte("GET / HTTP/1.1\r\n\r\n"))
	if got, want := len(p.board.Pending()), 18+Overhead+1; got != want {
		t.Errorf("%d bytes for an Open and 18 bytes, want %d", got, want)
	}
}

// What the link adds to a message, in bytes: a frame and, once in a while, a frame the
// other way that grants the bytes again. A message longer than the grants so far goes
// in two frames, which only the small windows of a board make happen.
func TestOverheadOfAMessage(t *testing.T) {
	t.Parallel()
	p := connectTo(t, 12<<10) // as package session has it
	p.open(p.board, p.gateway, 0)
	for _, test := range []struct {
		from, to *Link
		size     int
		most     float64
	}{
		{p.board, p.gateway, 1, 20},
		{p.board, p.gateway, 52, 20},
		{p.board, p.gateway, 350, 24},
		{p.board, p.gateway, 1000, 32},
		{p.gateway, p.board, 52, 24},
		{p.gateway, p.board, 350, 32},
		{p.gateway, p.board, 700, 45},
	} {
		const messages = 100
		total := 0
		for range messages {
			total += p.deliver(test.from, test.to, pattern(test.size))
		}
		added := float64(total)/messages - float64(test.size)
		t.Logf("%4d bytes: %.1f bytes more a message, grants included", test.size, added)
		if added > test.most {
			t.Errorf("a message of %d bytes costs %.1f bytes more, want %.1f", test.size, added, test.most)
		}
	}
}

// deliver sends a message on stream 0, which is read at once, and returns how many
// bytes passed in both directions.
func (p *pair) deliver(from, to *Link, message []byte) (total int) {
	p.t.Helper()
	for len(message) > 0 {
		n := from.Send(p.now, 0, message)
		if n == 0 {
			p.t.Fatalf("%d bytes are stuck", len(message))
		}
		if frame := len(from.Pending()); frame > n+Overhead+3 {
			p.t.Errorf("a frame of %d bytes for %d", frame, n)
		}
		message = message[n:]
		total += p.carryAll(from, to)
		p.read(to, 0)
		total += p.carryAll(to, from)
	}
	return total
}

func (p *pair) carryAll(from, to *Link) (total int) {
	for {
		n := len(from.Pending())
		if !p.carry(from, to) {
			return total
		}
		total += n
	}
}

func TestCreditBoundsWhatIsSent(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for _, s := range []Stream{0, 3} {
		window := len(p.gateway.streams[s].received.buf)
		p.open(p.board, p.gateway, s)
		sent := 0
		for range 100 {
			sent += p.board.Send(0, s, pattern(window))
			p.exchange()
		}
		if sent != window || p.board.Output().Writable.Has(s) {
			t.Errorf("stream %d: %d bytes sent without a reader, want %d", s, sent, window)
		}
		if got := len(p.read(p.gateway, s)); got != window {
			t.Errorf("stream %d: %d bytes read, want %d", s, got, window)
		}
		p.exchange()
		if !p.board.Output().Writable.Has(s) {
			t.Errorf("stream %d: not writable after all was read", s)
		}
	}
}

// Frames of every length up to the longest, alone and behind others.
func TestFramesOfEveryLength(t *testing.T) {
	t.Parallel()
	p := connectTo(t, 96<<10)
	p.open(p.board, p.gateway, 0)
	p.open(p.board, p.gateway, 1)
	for size := 1; size <= MaxData+10; size++ {
		want := pattern(size)
		n := p.board.Send(0, 0, want)
		m := p.board.Send(0, 1, want)
		p.exchange()
		got, more := p.read(p.gateway, 0), p.read(p.gateway, 1)
		if n != min(size, MaxData) || !bytes.Equal(got, want[:n]) || !bytes.Equal(more, want[:m]) {
			t.Fatalf("%d bytes: %d and %d sent, %d and %d read; %v", size, n, m, len(got), len(more), p.gateway.Err())
		}
		p.exchange()
	}
}

// A reader that stands still on one stream stops no other.
func TestSlowReaderStopsNobodyElse(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 0)
	p.open(p.board, p.gateway, 1)
	p.board.Send(0, 0, pattern(4000))
	p.exchange()
	want := pattern(20000)
	if got := p.send(p.board, p.gateway, 1, want); !bytes.Equal(got, want) {
		t.Errorf("stream 1: %d bytes beside a full stream 0", len(got))
	}
}

// Drivers that obey Turn share the connection evenly, however much each has to say.
func TestBusyStreamsShareTheConnection(t *testing.T) {
	t.Parallel()
	p := connect(t)
	var sent [NumStreams]int
	for s := range FirstServed {
		p.open(p.board, p.gateway, s)
	}
	for range 500 {
		o := p.board.Output()
		for i := range Stream(NumStreams) {
			s := (o.Turn + i) % NumStreams
			sent[s] += min(1, p.board.Send(0, s, pattern(200)))
		}
		p.exchange()
		for s := range FirstServed {
			p.read(p.gateway, s)
		}
		p.exchange()
		p.checkUp()
	}
	for s := range FirstServed {
		if sent[s] < sent[0]*8/10 || sent[s] > sent[0]*12/10 || sent[s] == 0 {
			t.Errorf("stream %d got %d turns, stream 0 %d", s, sent[s], sent[0])
		}
	}
}

func TestCloseEndsAStreamAfterItsBytes(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 2)
	p.board.Send(0, 2, []byte("bye"))
	p.board.Close(2)
	p.exchange()
	if o := p.gateway.Output(); !o.Data.Has(2) || !o.Finished.Has(2) {
		t.Errorf("gateway: %+v, want data and its end", o)
	}
	if p.board.Opens(2) {
		t.Error("the stream opens again before the gateway closed it")
	}
	if got := p.read(p.gateway, 2); string(got) != "bye" {
		t.Errorf("read %q", got)
	}
	if p.gateway.Send(0, 2, []byte("too late")) != 0 {
		t.Error("bytes are taken for a peer that reads no more")
	}
	p.gateway.Close(2)
	p.exchange()
	if o := p.gateway.Output(); o.Finished != 0 || !p.board.Opens(2) {
		t.Errorf("gateway: %+v, board opens %v, want a free stream", o, p.board.Opens(2))
	}
}

func TestResetDropsWhatIsUnread(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.open(p.board, p.gateway, 2)
	p.board.Send(0, 2, []byte("forget it"))
	p.board.Reset(2)
	p.exchange()
	if o := p.gateway.Output(); o.Data != 0 || !o.Reset.Has(2) {
		t.Errorf("gateway: %+v, want Reset and no data", o)
	}
	p.gateway.Close(2)
	p.exchange()
	if !p.board.Opens(2) {
		t.Error("the stream does not open again")
	}
}

// Nobody waits for a stream that nobody heard of.
func TestStreamClosedBeforeItsOpenIsSent(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.board.Open(1)
	p.board.Close(1)
	if n := len(p.board.Pending()); n != 0 || !p.board.Opens(1) {
		t.Errorf("%d bytes pending, opens %v", n, p.board.Opens(1))
	}
}

// Streams are used again and again, closed by either end in either way with bytes on
// their way: no byte of one use comes up in another, and no credit is lost.
func TestStreamsAreUsedAgain(t *testing.T) {
	t.Parallel()
	p := connect(t)
	r := rand.New(rand.NewPCG(3, 4))
	for use := range 2000 {
		s := Stream(r.IntN(NumStreams))
		a, b := p.board, p.gateway
		if s >= FirstServed {
			a, b = b, a
		}
		p.open(a, b, s)
		p.useOnce(r, a, b, s, byte(use))
		if p.board.Err() != nil || p.gateway.Err() != nil {
			t.Fatalf("use %d of stream %d: board %v, gateway %v", use, s, p.board.Err(), p.gateway.Err())
		}
	}
	for s := range Stream(NumStreams) {
		for name, l := range p.ends() {
			st, other := &l.streams[s], &p.gateway.streams[s]
			if l == p.gateway {
				other = &p.board.streams[s]
			}
			if st.credit+other.owed != len(other.received.buf) || st.own != idle || st.peer != idle {
				t.Errorf("%s, stream %d: credit %d, owed %d of %d; %v, %v", name, s, st.credit, other.owed, len(other.received.buf), st.own, st.peer)
			}
		}
	}
}

// useOnce sends some bytes each way, marked, and closes the stream at some time.
func (p *pair) useOnce(r *rand.Rand, a, b *Link, s Stream, mark byte) {
	p.t.Helper()
	steps := []func(){
		func() { a.Send(0, s, bytes.Repeat([]byte{mark}, r.IntN(300))) },
		func() { b.Send(0, s, bytes.Repeat([]byte{mark}, r.IntN(300))) },
		func() { p.carry(a, b) },
		func() { p.carry(b, a) },
		func() { p.checkMark(a, s, mark) },
		func() { p.checkMark(b, s, mark) },
	}
	for range r.IntN(12) {
		steps[r.IntN(len(steps))]()
	}
	ends := []func(Stream){a.Close, b.Close, a.Reset, b.Reset}
	ends[r.IntN(4)](s)
	for range r.IntN(6) {
		steps[r.IntN(len(steps))]()
	}
	a.Close(s)
	b.Close(s)
	p.exchange()
	if !a.Opens(s) {
		p.t.Fatalf("stream %d is not free", s)
	}
}

func (p *pair) checkMark(l *Link, s Stream, mark byte) {
	p.t.Helper()
	if got := p.read(l, s); len(bytes.Trim(got, string([]byte{mark}))) > 0 && mark < 0x80 {
		p.t.Fatalf("stream %d: bytes of another use: %q", s, got)
	}
}

func TestOpenOnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for s := range Stream(255) {
		if got, want := p.board.Open(s), s < FirstServed; got != want {
			t.Errorf("board opens stream %d: %v, want %v", s, got, want)
		}
		if got, want := p.gateway.Open(s), s >= FirstServed && s < NumStreams; got != want {
			t.Errorf("gateway opens stream %d: %v, want %v", s, got, want)
		}
	}
	if p.board.Open(0) {
		t.Error("an open stream opens again")
	}
}

// Records that a peer with the right key, but the wrong mind, could send.
func TestRecordsAgainstTheRules(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", BufferSize/12+1)
	for name, test := range map[string]struct {
		plain string
		want  error
	}{
		"data on a closed stream":      {"\x02x", ErrStream},
		"open":                         {"\x12", nil},
		"open and data":                {"\x12\x02x", nil},
		"open, data with nothing":      {"\x12\x02", ErrRecord},
		"open twice":                   {"\x12\x12", ErrStream},
		"open a stream of ours":        {"\x15", ErrStream},
		"open a stream out of range":   {"\x1a", ErrStream},
		"data out of range":            {"\x0fx", ErrStream},
		"window out of range":          {"\x4a\x00\x01", ErrStream},
		"finish what is not open":      {"\x22", ErrStream},
		"reset what is not open":       {"\x32", ErrStream},
		"finish twice":                 {"\x12\x22\x22", ErrStream},
		"finish, then reset":           {"\x12\x22\x32", ErrStream},
		"data after the finish":        {"\x12\x22\x02x", ErrStream},
		"open again, not yet closed":   {"\x12\x22\x12", ErrStream},
		"data beyond the window":       {"\x12\x02" + full, ErrCredit},
		"data up to the window":        {"\x12\x02" + full[1:], nil},
		"credit of zero":               {"\x41\x00\x00", ErrCredit},
		"credit beyond the window":     {"\x41\x00\x01", ErrCredit},
		"credit cut":                   {"\x41\x00", ErrRecord},
		"ping":                         {"\x50", nil},
		"ping for a stream":            {"\x51", ErrRecord},
		"pong that nobody asked for":   {"\x60", nil},
		"pong for a stream":            {"\x6f", ErrRecord},
		"new key for a stream":         {"\x71", ErrRecord},
		"hello again":                  {"\x80", ErrRecord},
		"admit":                        {"\x90", ErrRecord},
		"refuse":                       {"\xa0no", ErrRecord},
		"end":                          {"\xb0\x01", ErrEnded},
		"end without a reason":         {"\xb0", ErrRecord},
		"end for a stream":             {"\xb1\x01", ErrRecord},
		"end, then anything":           {"\xb0\x01\xff\xff", ErrEnded},
		"unknown":                      {"\xc0", ErrRecord},
		"unknown, the last":            {"\xff", ErrRecord},
		"good ones, then an unknown":   {"\x12\x50\xf0", ErrRecord},
		"many pings are one pong":      {strings.Repeat("\x50", 1000), nil},
		"data is taken to the end":     {"\x12\x02\xff\xff\xff", nil},
		"new key, then the next frame": {"\x70\x50", nil},
	} {
		p := connect(t)
		p.board.seal(append(p.board.plain(), test.plain...))
		p.carry(p.board, p.gateway)
		if p.gateway.Err() != test.want {
			t.Errorf("%s: %v, want %v", name, p.gateway.Err(), test.want)
		}
		if n := len(p.gateway.Pending()); n > Overhead+maxControl {
			t.Errorf("%s: answered by %d bytes", name, n)
		}
	}
}

// A stream of ours that the peer has not heard of yet.
func TestRecordsForAStreamNotYetOpened(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"\x00x", "\x20", "\x30"} {
		p := connect(t)
		p.board.Open(0)
		p.gateway.seal(append(p.gateway.plain(), plain...))
		p.carry(p.gateway, p.board)
		if p.board.Err() != ErrStream {
			t.Errorf("%x: %v, want ErrStream", plain, p.board.Err())
		}
	}
}

func TestControlRecordsFitTheirBound(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for i := range p.board.streams {
		st := &p.board.streams[i]
		st.own, st.peer, st.owed = closing, open, len(st.received.buf)
	}
	p.board.ping, p.board.pong, p.board.rekey, p.board.state = true, true, true, ending
	p.board.keys.due = true
	if n := len(p.board.appendControl(nil)); n > maxControl || n < maxControl-2*NumStreams {
		t.Errorf("%d bytes of control records, the bound is %d", n, maxControl)
	}
}

func TestBuffersShareTheMemory(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 767, 768, BufferSize, 12345, 1 << 18} {
		memory := make([]byte, size)
		total := 0
		for _, b := range Buffers(memory) {
			total += len(b)
			for i := range b {
				b[i]++
			}
			if len(b) > maxWindow || cap(b) != len(b) {
				t.Errorf("%d bytes: a buffer of %d, capacity %d", size, len(b), cap(b))
			}
		}
		if bytes.Contains(memory, []byte{2}) || total > size || size < maxWindow && total < size-12 {
			t.Errorf("%d bytes: %d in use, overlapping %v", size, total, bytes.Contains(memory, []byte{2}))
		}
	}
}
