// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
	"github.com/picolet/picolet/emulator/segment"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

// The tests of files pico_*_test.go run the very image that a person flashes,
// bin/picolet-pico-w.uf2, on an emulated Pico W: what they show has not been seen
// on silicon. Durations are those of the emulated board unless said otherwise.

// The network of the emulated boards.
const (
	picoSSID       = "workshop"
	picoPassphrase = "correct horse"
	gatewayPort    = 6080
)

// picoOptions say which Pico W bootPico boots.
type picoOptions struct {
	name     string                   // Optional [a unique one]
	gateway  string                   // Optional [the shared one's address]
	pace     emulator.Pace            // Optional [emulator.PaceAnswered]
	link     emulator.Link            // Optional [emulator.LinkWord]
	faults   segment.Faults           // Optional: what is wrong from the beginning
	settings func(*settings.Settings) // Optional: what differs from the usual
}

// picoW is an emulated Pico W, provisioned by UF2, on a segment of its own.
type picoW struct {
	clusterNode
	*emulator.Board
	segment     *segment.Segment
	throughLink *http.Client // nil: the kubelet port is open
}

// imageFile is the firmware. It is built by "make firmware".
var imageFile = flag.String("image", filepath.Join("..", "bin", "picolet-pico-w.uf2"), "the firmware of the emulated Pico W")

var picoImage = sync.OnceValues(func() ([]byte, error) { return os.ReadFile(*imageFile) })

// long has the tests run that keep processors busy for minutes: "make test-board".
var long = flag.Bool("long", false, "run the long tests of the emulated Pico W, too")

// requireTime skips a test that takes long, unless -long is given.
func requireTime(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("keeps processors busy for minutes: make test-board")
	}
}

// requireImage skips where there is no image, except in CI.
func requireImage(tb testing.TB) []byte {
	tb.Helper()
	image, err := picoImage()
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") != "true" {
		tb.Skipf("%v: make firmware", err)
	}
	must(tb, err)
	return image
}

// newPicoFile makes the UF2 with firmware and settings that makes a board a node.
func newPicoFile(tb testing.TB, o picoOptions) []byte {
	tb.Helper()
	firmware, err := provision.ParseFirmware(requireImage(tb))
	must(tb, err)
	s := settings.Settings{
		NodeName: o.name, SSID: picoSSID, Passphrase: picoPassphrase, Gateway: "10.42.0.1:" + strconv.Itoa(gatewayPort),
	}
	if o.settings != nil {
		o.settings(&s)
	}
	uf2, err := firmware.UF2(s)
	must(tb, err)
	return uf2
}

// emulators bounds how many Pico Ws there are at one time: more would have less of
// the host's processors than they need to keep up with its clock.
var emulators = make(chan struct{}, 3)

// bootPico boots a Pico W. When the test ends, it is switched off and its node
// deleted.
func bootPico(tb testing.TB, p *plane, o picoOptions) *picoW {
	tb.Helper()
	requireImage(tb)
	if o.name == "" {
		o.name = unique("pico")
	}
	if o.gateway == "" {
		o.gateway = sharedGateway(tb).addr
	}
	b := &picoW{clusterNode: clusterNode{p, o.name}}
	tb.Cleanup(func() { b.deleteNode(tb) })
	b.segment = emulatortest.Segment(tb, segment.Config{Forward: map[uint16]string{gatewayPort: o.gateway}})
	b.segment.SetFaults(o.faults)
	emulators <- struct{}{}
	tb.Cleanup(func() { <-emulators })
	b.Board = emulatortest.Boot(tb, emulator.Config{
		Images: [][]byte{newPicoFile(tb, o)},
		SSID:   picoSSID, Passphrase: picoPassphrase, Segment: b.segment, Pace: o.pace, Link: o.link,
	})
	must(tb, b.Wait(tb.Context(), maxReady, "the board joined to its access point", func(s emulator.State) bool { return s.Joined }))
	return b
}

// readyPico boots a Pico W and waits until its node is Ready, and the board knows.
func readyPico(tb testing.TB, p *plane, o picoOptions) *picoW {
	tb.Helper()
	b := bootPico(tb, p, o)
	b.waitReady(tb)
	b.say(tb, "Node registered", 10*time.Second)
	return b
}

// waitReady waits until the node is Ready by the status of this boot.
func (b *picoW) waitReady(tb testing.TB) *corev1.Node {
	tb.Helper()
	return b.waitNode(tb, 3*gracePeriod, func(n *corev1.Node) error {
		if c := condition(n, corev1.NodeReady); c == nil || c.Status != corev1.ConditionTrue {
			return fmt.Errorf("Ready is %v\n%s", c, tail(b.Console().Text()))
		}
		return nil
	})
}

// say waits until the board's console says text.
func (b *picoW) say(tb testing.TB, text string, limit time.Duration) {
	tb.Helper()
	must(tb, b.Console().Wait(tb.Context(), text, limit))
}

// tail is the end of a console's text.
func tail(text string) string { return text[max(0, len(text)-2000):] }

// client reaches the board's kubelet port through its network, or through its link.
func (b *picoW) client() *http.Client {
	if b.throughLink != nil {
		return b.throughLink
	}
	return &http.Client{Transport: b.Net().Transport(), Timeout: time.Minute}
}

// get returns the body of a GET to the kubelet port that is answered with 200.
func (b *picoW) get(ctx context.Context, path string) (string, error) {
	return getTextBy(ctx, b.client(), "http://board:10250"+path)
}

// dialPort opens a connection to the kubelet port.
func (b *picoW) dialPort(tb testing.TB) net.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	c, err := b.Net().Dial(ctx, 10250)
	must(tb, err)
	tb.Cleanup(func() { _ = c.Close() })
	must(tb, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// metrics reads the board's metrics: name with labels to value.
func (b *picoW) metrics(tb testing.TB) map[string]float64 {
	tb.Helper()
	text, err := b.get(tb.Context(), "/metrics")
	must(tb, err)
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			values[name] = v
		}
	}
	return values
}

// noReboot checks that the board has not booted since it was switched on.
func (b *picoW) noReboot(tb testing.TB) {
	tb.Helper()
	if resets := b.State().Resets; len(resets) != 1 {
		tb.Errorf("the board was reset: %v", resets)
	}
}

// readsPicoConfig has the board read one ConfigMap of this name.
func (p *plane) readsPicoConfig(tb testing.TB, name string) func(*settings.Settings) {
	p.allowConfigMap(tb, gatewaySubject(gatewayAccount), name)
	return func(s *settings.Settings) {
		s.ConfigMaps = []kubelet.ObjectName{{Namespace: namespace, Name: name}}
	}
}
