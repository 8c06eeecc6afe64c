// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/ethernet"
	"github.com/soypat/lneto/ipv4"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// maxMemory is the budget for all that a Network holds, in bytes on a 64-bit
// host: the board's 32 bits take less.
const maxMemory = 8 << 10

func TestMemory(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Network{}); size > maxMemory {
		t.Errorf("a Network of %d streams takes %d bytes", kubelet.NumStreams, size)
	}
}

// BenchmarkNew shows the memory of a Network, with all streams, in B/op.
func BenchmarkNew(b *testing.B) {
	k := new(kubelet.Kubelet)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Config{Kubelet: k, MAC: boardMAC, Hostname: "pico-1", Gateway: "gw:1", Seed: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdlePoll is what a loop costs that has nothing to do.
func BenchmarkIdlePoll(b *testing.B) {
	l := newLAN(b, "192.0.2.1:8080").up()
	l.run(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		l.n.Poll(l.now)
		l.n.Next(l.now, l.buf[:])
	}
}

// recording keeps the frames that the board receives from boot to a lease
// renewal and an answer.
func recording(t testing.TB) (frames [][]byte, at []time.Duration) {
	l := newLAN(t, "picolet.example.org:8080")
	l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 3600
	l.onFrame = func(toBoard bool, f []byte) bool {
		if toBoard {
			frames, at = append(frames, bytes.Clone(f)), append(at, l.now)
		}
		return true
	}
	l.up()
	l.client.dial(get)
	l.run(30 * time.Second)
	return frames, at
}

// A board that keeps its lease, serves and is asked for its name takes no memory
// from the heap.
func TestNoAllocations(t *testing.T) {
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(10 * time.Second)
	var frames [][]byte
	l.onFrame = func(toBoard bool, f []byte) bool {
		if toBoard {
			frames = append(frames, bytes.Clone(f))
		}
		return true
	}
	l.client.dial(metrics)
	question := append(appendName(appendHeader(nil, 1, 0, 1, 0, 0), "pico-1.local"), 0, typeA, 0, dnsClassIN)
	l.client.sendUDP(mdnsPort, mdnsPort, multicastDNS, MulticastMAC, question)
	l.client.sendARP(1, broadcastMAC, boardIP)
	l.query(gatewayIP, 0x11, 1, 0, 0, 0, 0, 0, 0)
	l.run(time.Second)
	copies := *l.n // the frames again: duplicates, strays and new requests
	buf := l.buf[:]
	if n := testing.AllocsPerRun(50, func() {
		*l.n = copies
		for _, f := range frames {
			l.now += time.Millisecond
			l.n.Receive(l.now, f)
			l.n.Poll(l.now)
			for l.n.Next(l.now, buf) > 0 {
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
	if n := testing.AllocsPerRun(100, func() {
		l.now += 50 * time.Millisecond
		l.n.Poll(l.now)
		for l.n.Next(l.now, buf) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations for a poll", n)
	}
}

// FuzzFrames changes the frames of a board's life: whatever comes, the board
// neither stops nor reads outside of a frame, and works again afterwards.
func FuzzFrames(f *testing.F) {
	frames, _ := recording(f)
	f.Add(uint64(0), []byte{})
	f.Add(uint64(1), []byte{3, 14, 0x4f, 5, 16, 0xff})
	f.Add(uint64(2), []byte("\x00\x22\x01\x01\x22\xff\x02\x2a\x80\x03\x30\x00"))
	f.Fuzz(func(t *testing.T, fix uint64, edits []byte) {
		l := newLAN(t, "picolet.example.org:8080")
		l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 3600
		l.n.LinkUp(0)
		l.run(time.Duration(fix%30) * time.Millisecond)
		for ; len(edits) >= 3; edits = edits[3:] {
			frame := bytes.Clone(frames[int(edits[0])%len(frames)])
			frame[int(edits[1])%len(frame)] = edits[2]
			if fix&1 == 1 {
				frame = frame[:len(frame)-int(edits[2])%len(frame)]
			}
			refit(frame)
			l.n.Receive(l.now, frame)
			l.runBoard()
			l.now += time.Duration(edits[0]) * time.Millisecond
		}
		l.until(3*time.Minute, "the node is registered", l.registered)
	})
}

// refit makes the checksums of a changed frame right, so that it is not thrown
// away for them.
func refit(frame []byte) {
	if len(frame) < bodyStart+udpSize || frame[12] != 8 || frame[13] != 0 {
		return
	}
	f, _ := ipv4.NewFrame(frame[ipStart:])
	f.SetCRC(0)
	f.SetCRC(f.CalculateHeaderCRC())
	end := ipStart + int(f.TotalLength())
	if end > len(frame) || end < bodyStart+tcpSize || f.HeaderLength() != ipSize {
		return
	}
	var sum lneto.CRC791
	switch body := frame[bodyStart:end]; f.Protocol() {
	case lneto.IPProtoTCP:
		binary.BigEndian.PutUint16(body[16:], 0)
		f.CRCWriteTCPPseudo(&sum)
		binary.BigEndian.PutUint16(body[16:], sum.PayloadSum16(body))
	case lneto.IPProtoUDP:
		binary.BigEndian.PutUint16(body[6:], 0) // not computed
	}
}

// Frames that no sound network carries are passed over.
func TestFramesThatAreNone(t *testing.T) {
	t.Parallel()
	frames, _ := recording(t)
	l := newLAN(t, "192.0.2.1:8080").up()
	for _, frame := range frames {
		for size := range len(frame) {
			l.n.Receive(l.now, frame[:size])
		}
		for i := range frame {
			changed := bytes.Clone(frame)
			changed[i] ^= 0xff
			refit(changed)
			l.n.Receive(l.now, changed)
		}
		l.runBoard()
	}
	for kind := range 1 << 16 {
		var frame [64]byte
		copy(frame[:], broadcastMAC[:])
		e, _ := ethernet.NewFrame(frame[:])
		e.SetEtherType(ethernet.Type(kind))
		l.n.Receive(l.now, frame[:])
	}
	l.n.Receive(l.now, nil)
	l.until(time.Minute, "the gateway is reached", func() bool { return l.n.State() == board.NetworkUp && l.n.connected() })
	c := l.client.dial(get)
	l.until(10*time.Second, "the answer", func() bool { return bytes.HasPrefix(c.got, []byte("HTTP/1.1 200 ")) })
}

// Next refuses a buffer that could be too small.
func TestShortBuffer(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.n.LinkUp(0)
	l.n.Poll(0)
	if n := l.n.Next(0, make([]byte, MaxFrame-1)); n != 0 {
		t.Errorf("%d bytes", n)
	}
}
