// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/soypat/lneto/tcp"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

var linkKeys = sync.OnceValues(func() (board, gateway noise.Key) { return newLinkKey(), newLinkKey() })

func newLinkKey() noise.Key {
	private, err := noise.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	k, err := noise.NewKey(private)
	if err != nil {
		panic(err)
	}
	return k
}

// linkEnd is the gateway's end of a link over a connection.
type linkEnd struct {
	lan   *lan
	link  noise.Link
	in    [noise.NumStreams][]byte
	out   [noise.NumStreams][]byte
	asked []string
}

// newLinkedLAN makes a lan whose board comes by links, which the gateway takes.
func newLinkedLAN(t testing.TB) (*lan, *[]*linkEnd) {
	t.Helper()
	l := newLAN(t, "192.0.2.1:8080")
	own, gateway := linkKeys()
	l.k = new(kubelet.Kubelet)
	err := l.k.Configure(kubelet.Config{
		NodeName: "pico-1", Host: "gateway", Version: "v1.37.2", Seed: 7,
		Board: board.Board{Facts: board.Facts{Model: "rp2040", ID: "e6614"}, Sensors: l.board, LED: l.board},
	})
	if err != nil {
		t.Fatal(err)
	}
	over, err := linked.New(linked.Config{
		Kubelet: l.k, Key: own, GatewayKey: gateway.Public, Random: rand.Reader, Memory: make([]byte, noise.BufferSize),
		Hello: noise.Hello{BoardID: "e6614", NodeName: "pico-1", Version: "v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.n, err = New(Config{Kubelet: over, NoPort: true, MAC: boardMAC, Hostname: "pico-1", Gateway: "192.0.2.1:8080", Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	over.Start(0)
	ends, of := new([]*linkEnd), map[*peer]*linkEnd{}
	l.gateway.raw = func(c *peer) {
		if of[c] == nil {
			of[c] = newLinkEnd(l, gateway)
			*ends = append(*ends, of[c])
		}
		of[c].take(c)
	}
	return l, ends
}

func newLinkEnd(l *lan, key noise.Key) *linkEnd {
	e := &linkEnd{lan: l}
	err := e.link.Configure(noise.Config{
		Role: noise.Gateway, Key: key, Random: rand.Reader, Receive: noise.Buffers(make([]byte, 12<<10)),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	e.link.Start(l.now)
	return e
}

// take works on what has come, and answers whole requests.
func (e *linkEnd) take(c *peer) {
	now := e.lan.now
	for n := -1; n != 0 && len(c.got) > 0; {
		n = e.link.Receive(now, c.got)
		c.got = c.got[n:]
		if e.link.Asking() {
			e.link.Admit(now)
		}
	}
	for {
		s, ok := e.link.Accept()
		if !ok {
			break
		}
		e.in[s], e.out[s] = nil, nil
	}
	o := e.link.Output()
	for s := range noise.Stream(noise.NumStreams) {
		for p := e.link.Data(s); len(p) > 0; p = e.link.Data(s) {
			e.in[s] = append(e.in[s], p...)
			e.link.Consumed(s, len(p))
		}
		if (o.Finished | o.Reset).Has(s) {
			e.link.Close(s)
		}
		if s < noise.FirstServed {
			e.answer(s)
		}
	}
	e.flush(c)
}

// answer answers whole requests of a stream.
func (e *linkEnd) answer(s noise.Stream) {
	for len(e.in[s]) > 0 {
		rest := bytes.NewReader(e.in[s])
		buffered := bufio.NewReader(rest)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		e.in[s] = e.in[s][len(e.in[s])-rest.Len()-buffered.Buffered():]
		e.asked = append(e.asked, r.Method+" "+r.URL.Path)
		e.out[s] = append(e.out[s], e.lan.gateway.serve(r)...)
	}
}

// flush gives the connection all that the link has to send.
func (e *linkEnd) flush(c *peer) {
	for again := true; again; {
		again = false
		for s := range e.out {
			n := e.link.Send(e.lan.now, noise.Stream(s), e.out[s])
			e.out[s] = e.out[s][n:]
			again = again || n > 0
		}
		if p := e.link.Pending(); len(p) > 0 {
			c.pending = append(c.pending, p...)
			e.link.Sent(e.lan.now, len(p))
			again = true
		}
	}
}

func (e *linkEnd) heard(what string) (n int) {
	for _, a := range e.asked {
		if strings.HasPrefix(a, what) {
			n++
		}
	}
	return n
}

// TestLinkOverALossyNetwork: frames that are lost, late or come twice hold up a link,
// and do not end it.
func TestLinkOverALossyNetwork(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.1, 0.2} {
		t.Run(fmt.Sprintf("%.0f%%", 100*loss), func(t *testing.T) {
			t.Parallel()
			l, ends := newLinkedLAN(t)
			l.loss = loss
			l.n.LinkUp(l.now)
			l.until(2*time.Minute, "the node is registered", l.registered)
			begun := len(*ends)
			last := (*ends)[begun-1]
			before := last.heard("PATCH /apis/coordination")
			l.run(5 * time.Minute)
			if loss <= 0.1 && (len(*ends) != begun || last.link.Err() != nil) {
				t.Errorf("%d links, not %d: %v\n%s", len(*ends), begun, last.link.Err(), l.log())
			}
			last = (*ends)[len(*ends)-1]
			if n := last.heard("PATCH /apis/coordination") - before; loss <= 0.1 && n < 20 {
				t.Errorf("%d renewals in 5 minutes\n%s", n, l.log())
			}
		})
	}
}

// TestKubeletPortThroughTheLink: the gateway opens a stream to it; no port is open.
func TestKubeletPortThroughTheLink(t *testing.T) {
	t.Parallel()
	l, ends := newLinkedLAN(t)
	l.loss = 0.05
	l.n.LinkUp(l.now)
	l.until(time.Minute, "the node is registered", l.registered)
	e, c := (*ends)[len(*ends)-1], l.gateway.conns[len(l.gateway.conns)-1]
	for range 10 {
		const s = noise.FirstServed
		l.until(time.Minute, "the stream is free", func() bool { return e.link.Opens(s) })
		if !e.link.Open(s) {
			t.Fatal("the stream does not open")
		}
		e.in[s], e.out[s] = nil, []byte("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		e.flush(c)
		l.until(time.Minute, "/healthz is answered", func() bool { return bytes.HasSuffix(e.in[s], []byte("ok")) })
		e.link.Close(s)
		e.flush(c)
	}
	refused := l.client.dial("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	l.until(time.Minute, "the port is closed", func() bool { return refused.err != nil })
	if l.n.port != 0 {
		t.Error("a port is open")
	}
}

// TestPortZeroIsNoPort, though that is how a closed one is kept.
func TestPortZeroIsNoPort(t *testing.T) {
	t.Parallel()
	l, _ := newLinkedLAN(t)
	l.n.LinkUp(l.now)
	l.until(time.Minute, "the node is registered", l.registered)
	var buf [MaxFrame]byte
	syn := wire.Segment{SEQ: 1, WND: 1000, Flags: wire.FlagSYN}
	answers := 0
	l.onFrame = func(toBoard bool, f []byte) bool {
		if !toBoard && len(f) >= bodyStart+tcpSize && f[bodyStart] == 0 && f[bodyStart+1] == 0 && wire.Flags(f[bodyStart+13]).HasAny(wire.FlagSYN) {
			answers++
		}
		return true
	}
	l.client.send(l.client.net.sendSegment(buf[:], route{mac: boardMAC, peer: boardIP, local: 4000, remote: 0}, syn, nil), buf[:])
	l.run(time.Second)
	if answers > 0 {
		t.Error("port 0 was answered")
	}
}
