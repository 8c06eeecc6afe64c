// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
)

// start runs a node with k until the returned function is called. In a
// bubble, the end of the test checks that no goroutine is left.
func start(t *testing.T, o fleet.Options, kubelets ...*fakeKubelet) (stop func()) {
	t.Helper()
	all := make([]fleet.Kubelet, 0, len(kubelets))
	for _, k := range kubelets {
		all = append(all, k)
	}
	return startNode(t, o, all...)
}

func startNode(t testing.TB, o fleet.Options, kubelets ...fleet.Kubelet) (stop func()) {
	t.Helper()
	o.Name = "pico-1"
	o.Boot = func(boot int) (fleet.Kubelet, error) {
		if boot >= len(kubelets) {
			return nil, fmt.Errorf("boot %d was not expected", boot)
		}
		return kubelets[boot], nil
	}
	n, err := fleet.NewNode(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// on returns a reaction to inputs of one kind.
func on(what string, do func(k *fakeKubelet, in input)) func(*fakeKubelet, input) {
	return func(k *fakeKubelet, in input) {
		if in.what == what {
			do(k, in)
		}
	}
}

func dialAtStart(s kubelet.Streams) func(*fakeKubelet, input) {
	return on("Start", func(k *fakeKubelet, _ input) { k.out.Dial = s })
}

func checkTranscript(t *testing.T, k *fakeKubelet, what []string, want ...string) {
	t.Helper()
	if got := k.transcript(what...); !slices.Equal(got, want) {
		t.Errorf("inputs:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Error(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("read %.40q, %v, want %.40q", got, err, want)
	}
}

func readAll(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if string(got) != want || err != nil {
		t.Errorf("read %.40q, %v, want %.40q", got, err, want)
	}
}

func randomText(rng *rand.Rand, n int) string {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + rng.IntN(26))
	}
	return string(p)
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
