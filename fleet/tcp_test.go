// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/link/linktest"
)

// A client that sends more than the kubelet reads still gets the whole answer:
// without lingering, TCP would reset the connection.
func TestAnswerOutlivesUnreadInput(t *testing.T) {
	t.Parallel()
	k := newFake(on("Receive", func(k *fakeKubelet, in input) {
		if k.pending[in.stream] == nil {
			k.send(in.stream, "413")
			k.out.Finish |= 1 << in.stream
		}
	}))
	k.accept = func() (kubelet.Stream, bool) { return kubelet.StreamServed, true }
	l := listenTCP(t)
	stop := start(t, fleet.Options{Dialer: linktest.NewNetwork(), Listener: l}, k)
	defer stop()
	c, err := link.TCP(l.Addr().String()).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	say(t, c, strings.Repeat("x", 100_000))
	readAll(t, c, "413")
}

// Once a stream is open, an exchange on it allocates nothing.
func TestExchangeAllocatesNothing(t *testing.T) {
	node, peer := echoNode(t)
	defer node()
	buf := make([]byte, 4)
	allocs := testing.AllocsPerRun(1000, func() { exchange(t, peer, buf) })
	if allocs != 0 {
		t.Errorf("%v allocations per exchange, want 0", allocs)
	}
}

// BenchmarkExchange is a request and its answer of 4 bytes over TCP.
func BenchmarkExchange(b *testing.B) {
	stop, peer := echoNode(b)
	defer stop()
	buf := make([]byte, 4)
	b.ReportAllocs()
	for b.Loop() {
		exchange(b, peer, buf)
	}
}

// echoNode runs a node that sends back what it gets, and returns its peer.
func echoNode(tb testing.TB) (stop func(), peer net.Conn) {
	tb.Helper()
	l := listenTCP(tb)
	stop = startNode(tb, fleet.Options{Dialer: link.TCP(l.Addr().String())}, &quietKubelet{dial: 1})
	peer = acceptTCP(tb, l)
	tb.Cleanup(func() { _ = peer.Close() })
	exchange(tb, peer, make([]byte, 4))
	return stop, peer
}

func exchange(tb testing.TB, peer net.Conn, buf []byte) {
	if _, err := peer.Write(buf); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(peer, buf); err != nil {
		tb.Fatal(err)
	}
}

// quietKubelet is an echo that keeps no transcript and allocates nothing.
type quietKubelet struct {
	fakeKubelet
	dial    kubelet.Streams
	send    kubelet.Streams
	buf     [kubelet.NumStreams][8]byte
	pending [kubelet.NumStreams]int
}

func (k *quietKubelet) Start(time.Duration)                           {}
func (k *quietKubelet) Tick(time.Duration)                            {}
func (k *quietKubelet) Opened(time.Duration, kubelet.Stream)          {}
func (k *quietKubelet) Closed(time.Duration, kubelet.Stream, error)   {}
func (k *quietKubelet) SetAddress(time.Duration, string)              {}
func (k *quietKubelet) Pending(s kubelet.Stream) []byte               { return k.buf[s][:k.pending[s]] }
func (k *quietKubelet) Sent(_ time.Duration, s kubelet.Stream, n int) { k.pending[s] -= n }
func (k *quietKubelet) Receive(_ time.Duration, s kubelet.Stream, p []byte) int {
	k.pending[s] = copy(k.buf[s][:], p)
	k.send |= 1 << s
	return k.pending[s]
}

func (k *quietKubelet) Output() kubelet.Output {
	o := kubelet.Output{Dial: k.dial, Send: k.send, Wake: 24 * time.Hour}
	k.dial, k.send = 0, 0
	return o
}

func listenTCP(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

func acceptTCP(tb testing.TB, l net.Listener) net.Conn {
	tb.Helper()
	c, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
