// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"testing"
	"unsafe"
)

// maxMemory is what the link of a board may take, in bytes.
const maxMemory = 6 << 10

func TestLinkFitsTheBoard(t *testing.T) {
	t.Parallel()
	total := int(unsafe.Sizeof(Link{})) + BufferSize
	t.Logf("a link: %d bytes, and %d of receive buffers", unsafe.Sizeof(Link{}), BufferSize)
	limit := maxMemory
	if unsafe.Sizeof(uintptr(0)) == 8 {
		limit += 300 // of longer pointers: GOARCH=386 takes the limit as a board does
	}
	if total > limit {
		t.Errorf("a link takes %d bytes, more than %d", total, limit)
	}
}

// message carries one message on stream 0 and reads it, and the grants back.
func message(p *pair, from, to *Link, data []byte) {
	if from.Send(p.now, 0, data) != len(data) {
		p.t.Fatal("the message does not go out")
	}
	p.exchange()
	to.Consumed(0, len(to.Data(0)))
	to.Consumed(0, len(to.Data(0)))
	p.exchange()
}

// Not parallel: AllocsPerRun counts those of all goroutines.
func TestMessagesAllocateNothing(t *testing.T) {
	p := connect(t)
	p.open(p.board, p.gateway, 0)
	data := pattern(200)
	for name, step := range map[string]func(){
		"message to the gateway": func() { message(p, p.board, p.gateway, data) },
		"message to the board":   func() { message(p, p.gateway, p.board, data) },
		"ping and pong":          func() { p.board.ping = true; p.exchange() },
		"tick and output": func() {
			p.now++
			p.board.Tick(p.now)
			p.board.Output()
		},
		"a stream from open to close": func() {
			p.board.Open(3)
			p.board.Send(p.now, 3, data)
			p.exchange()
			p.gateway.Accept()
			p.board.Close(3)
			p.gateway.Close(3)
			p.exchange()
		},
	} {
		if n := testing.AllocsPerRun(200, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	p.checkUp()
}

func TestRekeyAllocatesLittle(t *testing.T) {
	p := connect(t)
	n := testing.AllocsPerRun(100, func() {
		p.board.rekey = true
		p.exchange()
	})
	p.checkUp()
	if n > 4 {
		t.Errorf("%v allocations for a new key, want a cipher and a block at each end", n)
	}
}

func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		connect(b)
	}
}

// BenchmarkReplayedFirstMessage is what anybody can make a gateway do.
func BenchmarkReplayedFirstMessage(b *testing.B) {
	first := newPair(b).tap(newPair(b).board)
	l := new(Link)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Configure(gatewayConfig(1)); err != nil {
			b.Fatal(err)
		}
		l.Start(0)
		l.Receive(0, first)
	}
}

func BenchmarkMessage(b *testing.B) {
	for _, size := range []int{52, 200, 700} {
		b.Run(map[int]string{52: "lease", 200: "small", 700: "large"}[size], func(b *testing.B) {
			p := connect(b)
			p.open(p.board, p.gateway, 0)
			data := pattern(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				message(p, p.board, p.gateway, data)
			}
		})
	}
}
