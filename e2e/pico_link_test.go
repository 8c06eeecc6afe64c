// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/settings"
)

// TestPicoWJoinsByLink: a Pico W with the gateway's key in its settings comes by one
// encrypted link, has no open port, and is reached through the link.
func TestPicoWJoinsByLink(t *testing.T) {
	t.Parallel()
	g := startLinkGateway(t, sharedPlane(t))
	b, key := g.bootPico(t)
	b.waitReady(t)
	shook := b.since(t, "Link is up") - b.since(t, "Gateway is reached")
	t.Logf("handshake: %v of emulated time", shook)
	limit := time.Duration(float64(700*time.Millisecond) * 200e6 / b.mustStats(t).ClockHertz)
	if shook <= 0 || shook > limit {
		t.Errorf("handshake took %v, want at most %v", shook, limit)
	}
	b.waitRenewals(t, 2)
	g.checkPort(t, b.name)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c, err := b.Net().Dial(ctx, 10250); err == nil {
		_ = c.Close()
		t.Error("the kubelet port is open")
	}
	b.noReboot(t)
	t.Run("and is cut off when it is revoked", func(t *testing.T) {
		g.list.Deny(key)
		b.say(t, "Link has ended", 30*time.Second)
		b.say(t, gateway.Fingerprint(key), time.Minute)
		b.waitNode(t, 3*gracePeriod, func(n *corev1.Node) error {
			if c := condition(n, corev1.NodeReady); c == nil || c.Status != corev1.ConditionUnknown {
				return fmt.Errorf("Ready is %v", c)
			}
			return nil
		})
	})
}

// bootPico boots a Pico W that the gateway lets in by a link, with its public key.
func (g *linkGateway) bootPico(t *testing.T) (*picoW, noise.PublicKey) {
	t.Helper()
	private, key := newLinkKey(t)
	name := unique("pico")
	must(t, g.list.Allow(key.Public, name))
	b := bootPico(t, g.plane, picoOptions{name: name, gateway: g.links, settings: func(s *settings.Settings) {
		s.GatewayKey, s.BoardKey = g.key.Public, private
	}})
	b.throughLink = g.client(name)
	return b, key.Public
}

// since is the time since boot at which the console said text first.
func (b *picoW) since(tb testing.TB, text string) time.Duration {
	tb.Helper()
	m := regexp.MustCompile(`(?m)^\+([0-9.]+s) .*` + text).FindStringSubmatch(b.Console().Text())
	if m == nil {
		tb.Fatalf("the board did not say %q before it knew the time:\n%s", text, tail(b.Console().Text()))
	}
	d, err := time.ParseDuration(m[1])
	must(tb, err)
	return d
}

// TestPicoWMakesItsOwnKey at its first boot, and keeps it.
func TestPicoWMakesItsOwnKey(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	g := startLinkGateway(t, p)
	name := unique("pico")
	b := bootPico(t, p, picoOptions{name: name, gateway: g.links, settings: func(s *settings.Settings) { s.GatewayKey = g.key.Public }})
	first := g.waitRefused(t, name, 0)
	must(t, b.PowerCut(t.Context(), emulator.Cut{}))
	must(t, b.PowerOn(t.Context()))
	again := g.waitRefused(t, name, len(first))
	for _, key := range again {
		if key != first[0] {
			t.Errorf("keys %v before the power was cut, %v after", first, again)
		}
	}
	if n := len(b.State().Resets); n != 2 {
		t.Errorf("%d boots", n)
	}
}

// waitRefused waits until a board was refused more than n times, and returns the
// fingerprints of the keys with which it came.
func (g *linkGateway) waitRefused(tb testing.TB, node string, n int) (keys []string) {
	tb.Helper()
	line := regexp.MustCompile(`outcome=refused .* key=([0-9a-f]{16}) node=` + node + ` `)
	for end := time.Now().Add(2 * time.Minute); len(keys) <= n; time.Sleep(50 * time.Millisecond) {
		keys = nil
		for _, m := range line.FindAllStringSubmatch(g.log.String(), -1) {
			keys = append(keys, m[1])
		}
		if time.Now().After(end) {
			tb.Fatalf("refused %d times only:\n%s", len(keys), g.log)
		}
	}
	return keys
}
