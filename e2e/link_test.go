// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
	"github.com/picolet/picolet/linked"
)

// newLinkKey makes a private key and its key pair.
func newLinkKey(tb testing.TB) (private [noise.KeySize]byte, key noise.Key) {
	tb.Helper()
	private, err := noise.GenerateKey(rand.Reader)
	must(tb, err)
	key, err = noise.NewKey(private)
	must(tb, err)
	return private, key
}

// linkGateway is a gateway that takes links from the boards on its list.
type linkGateway struct {
	*gatewayRun
	plane *plane
	links string // address for links
	key   noise.Key
	list  *gateway.AllowList
}

// startLinkGateway runs a gateway that takes links, for one test.
func startLinkGateway(t *testing.T, p *plane) *linkGateway {
	t.Helper()
	g := &linkGateway{gatewayRun: ownGateway(t, p, gatewayAccount, anyPort), plane: p, list: gateway.NewAllowList()}
	_, g.key = newLinkKey(t)
	l, err := net.Listen("tcp", anyPort)
	must(t, err)
	g.links = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.ServeLinks(ctx, l, gateway.LinkConfig{Key: g.key, Admission: g.list}); err != nil {
			t.Errorf("links: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return g
}

// client asks the kubelet port of node through its board's link.
func (g *linkGateway) client(node string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, MaxConnsPerHost: 5,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return g.DialBoard(ctx, node) },
	}}
}

// checkPort asks the board's kubelet port through the link.
func (g *linkGateway) checkPort(tb testing.TB, node string) {
	tb.Helper()
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": "picolet_"} {
		text, err := getTextBy(tb.Context(), g.client(node), "http://"+node+path)
		if err != nil || !strings.Contains(text, want) {
			tb.Errorf("%s through the link: %.100q, %v", path, text, err)
		}
	}
}

// waitLog waits until the gateway's log says all of texts.
func (g *linkGateway) waitLog(tb testing.TB, texts ...string) {
	tb.Helper()
	g.waitText(tb, g.log, texts...)
}

func (g *linkGateway) waitText(tb testing.TB, log interface{ String() string }, texts ...string) {
	tb.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		missing := ""
		for _, text := range texts {
			if !strings.Contains(log.String(), text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("log does not say %q:\n%s", missing, log)
		}
	}
}

// overLink is the kubelet of a boot over a link.
func (b *testBoard) overLink(boot int) (fleet.Kubelet, error) {
	own, err := b.configure(boot)
	if err != nil {
		return nil, err
	}
	c := *b.options.link
	c.Kubelet, c.Memory = new(kubelet.Kubelet), make([]byte, noise.BufferSize)
	c.Hello = noise.Hello{BoardID: own.Board.Facts.ID, NodeName: b.name, Version: "e2e"}
	if err := c.Kubelet.Configure(own); err != nil {
		return nil, err
	}
	return linked.New(c)
}

// board starts a board that comes by link.
func (g *linkGateway) board(t *testing.T, p *plane, name string, key noise.Key, change ...func(*linked.Config)) *testBoard {
	t.Helper()
	c := &linked.Config{Key: key, GatewayKey: g.key.Public, Random: rand.Reader}
	for _, f := range change {
		f(c)
	}
	return startBoard(t, p, boardOptions{name: name, gateway: g.links, link: c})
}

func TestBoardJoinsByLink(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	g := startLinkGateway(t, p)
	_, key := newLinkKey(t)
	name := unique("linked")
	must(t, g.list.Allow(key.Public, name))
	b := g.board(t, p, name, key)
	b.waitStatus(t, corev1.ConditionTrue)
	b.waitRenewals(t, 2)
	g.checkPort(t, name)
	g.waitLog(t, `msg="Board's link is up" node=`+name+" key="+gateway.Fingerprint(key.Public))

	t.Run("a second board with the same key is refused", func(t *testing.T) {
		c, err := net.Dial("tcp", g.links)
		must(t, err)
		_, err = session.Dial(t.Context(), c, session.Board{
			Key: key, GatewayKey: g.key.Public, Hello: noise.Hello{BoardID: "clone", NodeName: name, Version: "e2e"},
		})
		if !errors.Is(err, noise.ErrRefused) || !strings.Contains(err.Error(), "connected already") {
			t.Errorf("second link: %v", err)
		}
		g.waitLog(t, "outcome=refused")
		g.checkPort(t, name)
	})
	t.Run("a board that is revoked is cut off", func(t *testing.T) {
		begin := time.Now()
		g.list.Deny(key.Public)
		g.waitLog(t, `msg="Board's link is down" node=`+name, "reason=revoked")
		if d := time.Since(begin); d > time.Second {
			t.Errorf("took %v", d)
		}
		g.waitText(t, b.log, "Link has ended", "not allowed here")
		if _, err := g.DialBoard(t.Context(), name); err == nil {
			t.Error("its port is still reached")
		}
		b.waitStatus(t, corev1.ConditionUnknown)
	})
	t.Run("and comes back when it is let in again", func(t *testing.T) {
		must(t, g.list.Allow(key.Public, name))
		b.waitStatus(t, corev1.ConditionTrue)
		g.checkPort(t, name)
	})
}

// TestStrangersGetNoNode: neither end talks to a stranger.
func TestStrangersGetNoNode(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	g := startLinkGateway(t, p)
	_, key := newLinkKey(t)
	_, other := newLinkKey(t)
	t.Run("unknown board key", func(t *testing.T) {
		b := g.board(t, p, unique("linked"), key)
		g.waitText(t, b.log, "Link cannot be made", "not allowed here")
		g.waitLog(t, "outcome=refused", gateway.Fingerprint(key.Public))
		b.noNode(t)
	})
	t.Run("wrong gateway key", func(t *testing.T) {
		name := unique("linked")
		must(t, g.list.Allow(other.Public, name))
		b := g.board(t, p, name, other, func(c *linked.Config) { c.GatewayKey = key.Public })
		g.waitText(t, b.log, "Link cannot be made", "compare its address, its public key")
		g.waitLog(t, "outcome=key")
		b.noNode(t)
	})
	t.Run("plain HTTP", func(t *testing.T) {
		c, err := net.Dial("tcp", g.links)
		must(t, err)
		defer func() { _ = c.Close() }()
		must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(c, "GET /api/v1/nodes/x HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
		if text, _ := io.ReadAll(c); len(text) > 0 {
			t.Errorf("answered %q", text)
		}
		g.waitLog(t, "outcome=garbage")
	})
}

// noNode checks that the board has no Node.
func (b clusterNode) noNode(tb testing.TB) {
	tb.Helper()
	if _, err := b.node(tb.Context()); err == nil {
		tb.Errorf("node %s is there", b.name)
	}
}
