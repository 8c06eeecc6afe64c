// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"
)

// autopilot answers requests as an API server does that knows nothing yet.
func autopilot(r *rig, s Stream) {
	p := r.k.Pending(s)
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
	if err != nil {
		r.t.Fatalf("request on %s: %v\n%q", streamName(s), err, p)
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		r.t.Fatalf("request on %s: %v\n%q", streamName(s), err, p)
	}
	r.k.Sent(r.now, s, len(p))
	answer := r.response(200, "", createdNode)
	switch {
	case req.Method == "GET":
		answer = r.response(404, "", notFoundBody)
	case req.Method == "POST":
		answer = r.response(201, "", createdNode)
	case s == StreamAPI && r.k.client.op == renewLease:
		answer = r.response(200, "", createdLease)
	}
	r.k.Receive(r.now, s, answer)
}

// recover checks that, whatever happened before, a kubelet whose world is in
// order again registers and keeps its lease within some minutes.
func (r *rig) recover() {
	for s := range Stream(NumStreams) {
		r.k.Closed(r.now, s, io.EOF)
	}
	before := r.k.answers[renewLease][succeeded]
	end := r.now + 30*time.Minute
	for steps := 0; r.now < end; steps++ {
		if steps > 20000 {
			r.t.Fatal("the kubelet spins")
		}
		out := r.k.Output()
		for s := range Stream(NumStreams) {
			switch {
			case s >= StreamServed && out.Finish.Has(s):
				r.k.Closed(r.now, s, nil)
			case s < StreamServed && out.Dial.Has(s):
				r.k.Opened(r.now, s)
			case s < StreamServed && out.Send.Has(s):
				autopilot(r, s)
			}
		}
		if again := r.k.Output(); again.Send != 0 || again.Dial != 0 {
			r.k.out.Dial |= again.Dial
			r.k.out.Close |= again.Close
			r.k.out.Finish |= again.Finish
			continue
		}
		if r.k.registered == done && r.k.answers[renewLease][succeeded] > before+1 {
			return
		}
		r.now = max(r.now, r.k.wake())
		r.k.Tick(r.now)
	}
	r.t.Fatalf("after half an hour in order the kubelet has not recovered:\n%s", r.logText())
}

// FuzzExchange plays a hostile world: streams that open, break and say
// anything, in any order and in pieces of any size, at any time. Nothing may
// stop a kubelet, and once the world is in order it must be ready.
//
// The input is a list of steps: what, how much, and for bytes the bytes.
func FuzzExchange(f *testing.F) {
	f.Add([]byte("o\x00"))
	f.Add([]byte("o\x00r\x20HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("o\x00r\x30HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nsc"))
	f.Add([]byte("o\x00r\x2eHTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nt\x05r\x050\r\n\r\n"))
	f.Add([]byte("A\x00S\x20GET /metrics HTTP/1.1\r\nHost: a\r\n\r\np\x07p\x40t\x05p\xff"))
	f.Add([]byte("A\x00S\x20POST /pico/command HTTP/1.1\r\nHost: at\x06A\x00A\x00A\x00A\x00A\x00"))
	f.Add([]byte("o\x00r\xffHTTP/1.1 200 OK\r\nDate: Sat, 28 Feb 2026 23:59:50 GMT\r\nContent-Length: 300\r\n\r\n{\"metadata\":{\"uid\":\"x\",\"labels\":{}}}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &rig{t: t, k: new(Kubelet), board: newTestBoard()}
		if err := r.k.Configure(r.board.config()); err != nil {
			t.Fatal(err)
		}
		r.k.Start(0)
		served := StreamServed
		for len(in) >= 2 {
			what, n := in[0], int(in[1])
			in = in[2:]
			api := Stream(n % (int(StreamWatch) + 1))
			switch what {
			case 'o':
				r.k.Opened(r.now, api)
			case 'c':
				r.k.Closed(r.now, Stream(n), io.ErrUnexpectedEOF)
			case 'r', 'w', 'S':
				s := map[byte]Stream{'r': StreamAPI, 'w': StreamWatch, 'S': served}[what]
				p := in[:min(n, len(in))]
				in = in[len(p):]
				if taken := r.k.Receive(r.now, s, p); taken < 0 || taken > len(p) {
					t.Fatalf("%d of %d bytes taken", taken, len(p))
				}
			case 's', 'p':
				s := map[byte]Stream{'s': StreamAPI, 'p': served}[what]
				r.k.Sent(r.now, s, min(n, len(r.k.Pending(s))))
			case 'A':
				if s, ok := r.k.Accept(r.now); ok {
					served = s
				}
			case 't':
				r.now += time.Duration(n) * 700 * time.Millisecond
				r.k.Tick(r.now)
			default:
				r.k.Output()
			}
		}
		r.recover()
	})
}

// A whole life with answers in pieces of every size must end in the same state.
func TestShortReads(t *testing.T) {
	t.Parallel()
	list := `{"kind":"ConfigMapList","metadata":{"resourceVersion":"100"},"items":[{"metadata":{"name":"pico-config",` +
		`"namespace":"default","resourceVersion":"90"},"data":{"memory_values":"0=0x42","pin_2":"HIGH"}}]}`
	for size := 1; size <= 64; size++ {
		r := newRig(t, nil)
		r.net = true
		r.open(StreamAPI)
		for _, answer := range [][]byte{
			r.response(404, "", notFoundBody), r.response(201, "", createdNode),
			r.response(404, "", notFoundBody), r.response(201, "", createdLease),
		} {
			r.receive(StreamAPI, answer, size)
		}
		r.receive(StreamWatch, r.response(200, "", list), size)
		if r.k.lease != keepLease || r.k.applied.Memory[0] != 0x42 || r.k.watchers[0].op != watchConfigMap {
			t.Fatalf("in pieces of %d: lease %d, memory %d\n%s", size, r.k.lease, r.k.applied.Memory[0], r.said.String())
		}
	}
}
