// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
)

// fakeKubelet notes its inputs and lets a test react to them. The node calls
// it from one goroutine at a time, which the race detector checks.
type fakeKubelet struct {
	react  func(k *fakeKubelet, in input) // Optional [nothing]
	take   func(p []byte) int             // Optional [all]: what Receive takes
	accept func() (kubelet.Stream, bool)  // Optional [refuse]
	ring   logring.Ring

	out     kubelet.Output
	pending [kubelet.NumStreams][]byte

	mu     sync.Mutex // guards inputs, which tests read
	inputs []input
}

var _ fleet.Kubelet = (*fakeKubelet)(nil)

// input is one call of a method that gives input.
type input struct {
	what   string
	now    time.Duration
	stream kubelet.Stream
	data   string // Receive: what was taken; SetAddress: the address
	n      int    // Sent
	cause  error  // Closed
}

func (in input) String() string {
	s := fmt.Sprintf("%v %s", in.now, in.what)
	switch in.what {
	case "Opened":
		return fmt.Sprintf("%s %d", s, in.stream)
	case "Accept":
		return fmt.Sprintf("%s %d", s, in.stream)
	case "Closed":
		return fmt.Sprintf("%s %d %v", s, in.stream, in.cause)
	case "Receive":
		return fmt.Sprintf("%s %d %q", s, in.stream, in.data)
	case "Sent":
		return fmt.Sprintf("%s %d %d", s, in.stream, in.n)
	case "SetAddress":
		return fmt.Sprintf("%s %s", s, in.data)
	}
	return s
}

func newFake(react func(*fakeKubelet, input)) *fakeKubelet {
	k := &fakeKubelet{react: react}
	k.out.Wake = 24 * time.Hour
	return k
}

// transcript returns the inputs so far, without SetAddress unless asked for.
func (k *fakeKubelet) transcript(what ...string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for _, in := range k.inputs {
		if slices.Contains(what, in.what) || len(what) == 0 && in.what != "SetAddress" {
			lines = append(lines, in.String())
		}
	}
	return lines
}

// received returns what Receive took from s.
func (k *fakeKubelet) received(s kubelet.Stream) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all strings.Builder
	for _, in := range k.inputs {
		if in.what == "Receive" && in.stream == s {
			all.WriteString(in.data)
		}
	}
	return all.String()
}

func (k *fakeKubelet) input(in input) {
	k.mu.Lock()
	k.inputs = append(k.inputs, in)
	k.mu.Unlock()
	if k.react != nil {
		k.react(k, in)
	}
}

// send makes p pending on s.
func (k *fakeKubelet) send(s kubelet.Stream, p string) {
	k.pending[s] = append(k.pending[s], p...)
	k.out.Send |= 1 << s
}

func (k *fakeKubelet) Start(now time.Duration) { k.input(input{what: "Start", now: now}) }
func (k *fakeKubelet) Tick(now time.Duration)  { k.input(input{what: "Tick", now: now}) }

func (k *fakeKubelet) Opened(now time.Duration, s kubelet.Stream) {
	k.input(input{what: "Opened", now: now, stream: s})
}

func (k *fakeKubelet) Closed(now time.Duration, s kubelet.Stream, cause error) {
	k.pending[s] = nil
	k.input(input{what: "Closed", now: now, stream: s, cause: cause})
}

func (k *fakeKubelet) Receive(now time.Duration, s kubelet.Stream, p []byte) int {
	n := len(p)
	if k.take != nil {
		n = k.take(p)
	}
	if n > 0 {
		k.input(input{what: "Receive", now: now, stream: s, data: string(p[:n])})
	}
	return n
}

func (k *fakeKubelet) Accept(now time.Duration) (kubelet.Stream, bool) {
	if k.accept == nil {
		return 0, false
	}
	s, ok := k.accept()
	k.input(input{what: "Accept", now: now, stream: s})
	return s, ok
}

func (k *fakeKubelet) Pending(s kubelet.Stream) []byte { return k.pending[s] }

func (k *fakeKubelet) Sent(now time.Duration, s kubelet.Stream, n int) {
	k.pending[s] = k.pending[s][n:]
	k.input(input{what: "Sent", now: now, stream: s, n: n})
}

func (k *fakeKubelet) SetAddress(now time.Duration, ip string) {
	k.input(input{what: "SetAddress", now: now, data: ip})
}

func (k *fakeKubelet) Output() kubelet.Output {
	o := k.out
	k.out = kubelet.Output{Wake: o.Wake}
	return o
}

func (k *fakeKubelet) Log() *logring.Ring { return &k.ring }
