// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// linkAttack is what somebody does who wants a link, or another's. The victim is
// pico-1; pico-2 is there too. Both do nothing wrong.
type linkAttack struct {
	name   string
	attack func(t *testing.T, h *linkHarness, victim, other *tapped)

	outcome string // of a handshake: label of picolet_gateway_link_handshakes_total
	reason  string // of the end of the victim's link: label of picolet_gateway_link_ends_total
	asked   bool   // Admission decided about it
	log     string
}

func linkAttacks() []linkAttack {
	return []linkAttack{
		{"a wrong board key", func(t *testing.T, h *linkHarness, _, _ *tapped) {
			mustFail(t)(h.openFrom(attacker, 3))
		}, "refused", "", true, `addr=10.6.6.6 outcome=refused err="refused: this board's key is not allowed here: ` + Fingerprint(boardKey(3).Public)},
		{"a wrong gateway key", func(t *testing.T, h *linkHarness, _, _ *tapped) {
			mustFail(t)(h.openFrom(attacker, 1, func(b *session.Board) { b.GatewayKey = boardKey(3).Public }))
		}, "key", "", false, `addr=10.6.6.6 outcome=key`},
		{"another node's name", func(t *testing.T, h *linkHarness, _, _ *tapped) {
			mustFail(t)(h.openFrom(attacker, 2, func(b *session.Board) { b.Hello.NodeName = "pico-1" }))
		}, "refused", "", true, `is that of node \"pico-2\"" key=` + Fingerprint(boardKey(2).Public) + ` node=pico-1`},
		{"a second board with the same key", func(t *testing.T, h *linkHarness, _, _ *tapped) {
			mustFail(t)(h.openFrom(attacker, 1))
		}, "refused", "", true, `addr=10.6.6.6 outcome=refused err="refused: a board with this key is connected already`},
		{"a revoked key that comes back", func(t *testing.T, h *linkHarness, victim, _ *tapped) {
			h.list.Deny(boardKey(1).Public)
			<-victim.session.Done()
			synctest.Wait()
			mustFail(t)(h.openFrom(attacker, 1))
		}, "refused", "revoked", true, `outcome=refused err="refused: this board's key is not allowed here: ` + Fingerprint(boardKey(1).Public)},

		{"a replayed handshake", func(_ *testing.T, h *linkHarness, victim, _ *tapped) {
			h.replay(victim.frames()[0])
		}, "timeout", "", false, `addr=10.6.6.6 outcome=timeout`},
		{"a replayed session", func(_ *testing.T, h *linkHarness, victim, _ *tapped) {
			h.replay(victim.frames()...)
		}, "unproved", "", false, `addr=10.6.6.6 outcome=unproved`},
		{"a replayed session of a board that has gone", func(_ *testing.T, h *linkHarness, victim, _ *tapped) {
			_ = victim.session.Close()
			synctest.Wait()
			h.replay(victim.frames()...)
		}, "unproved", "board", false, `addr=10.6.6.6 outcome=unproved`},
		{"a handshake that was changed", func(_ *testing.T, h *linkHarness, victim, _ *tapped) {
			first := bytes.Clone(victim.frames()[0])
			first[len(first)-1] ^= 1
			h.replay(first)
		}, "key", "", false, `addr=10.6.6.6 outcome=key`},
		{"a handshake that is cut", func(_ *testing.T, h *linkHarness, victim, _ *tapped) {
			c := h.links.dial(attacker)
			_, _ = c.Write(victim.frames()[0][:50])
			_ = c.Close()
		}, "cut", "", false, `addr=10.6.6.6 outcome=cut`},

		{"a frame of another link", func(_ *testing.T, _ *linkHarness, victim, other *tapped) {
			victim.inject(other.frames()[2])
		}, "", "broken", false, `node=pico-1 key=` + Fingerprint(boardKey(1).Public) + ` addr=10.0.0.1 reason=broken`},
		{"a frame of before", func(_ *testing.T, _ *linkHarness, victim, _ *tapped) {
			victim.inject(victim.frames()[2])
		}, "", "broken", false, `reason=broken err="link: a frame was changed, repeated or lost on the way"`},
		{"a frame of the gateway's own", func(_ *testing.T, _ *linkHarness, victim, _ *tapped) {
			victim.inject(victim.answers()[2])
		}, "", "broken", false, `reason=broken`},
		{"a frame of an impossible length", func(_ *testing.T, _ *linkHarness, victim, _ *tapped) {
			victim.inject([]byte{0xff, 0xff, 0})
		}, "", "broken", false, `reason=broken err="link: a frame of a length that no frame has"`},
		{"a frame that is cut", func(_ *testing.T, _ *linkHarness, victim, _ *tapped) {
			victim.inject([]byte{0, 40, 1, 2, 3})
			_ = victim.Conn.Close()
		}, "", "cut", false, `reason=cut err="link: the connection was cut"`},
		{"silence in the middle of a frame", func(_ *testing.T, _ *linkHarness, victim, _ *tapped) {
			victim.mute.Store(true)
			victim.inject([]byte{0, 40, 1, 2, 3})
			time.Sleep(3*noise.DefaultIdle + time.Second)
		}, "", "silent", false, `reason=silent err="link: the peer has fallen silent"`},
	}
}

const attacker = "10.6.6.6:1"

// mustFail takes what opening a link gave.
func mustFail(t *testing.T) func(*session.Session, error) {
	return func(s *session.Session, err error) {
		t.Helper()
		if err == nil {
			t.Error("got in")
			_ = s.Close()
		}
	}
}

// TestLinkRefusals: each attack is refused, counted under a name of its own and
// logged; the API server sees nothing of it, and Admission only keys that were
// proved.
func TestLinkRefusals(t *testing.T) {
	linkKeys()
	for _, tt := range linkAttacks() {
		t.Run(tt.name, func(t *testing.T) {
			var admission askedAdmission
			inLinks(t, func(t *testing.T, h *linkHarness) { tt.run(t, h, &admission) }, func(c *LinkConfig) {
				admission.Admission = c.Admission
				c.Admission = &admission
			})
		})
	}
}

func (tt *linkAttack) run(t *testing.T, h *linkHarness, admission *askedAdmission) {
	victim, other := h.tap(t, 1), h.tap(t, 2)
	defer func() { _ = victim.session.Close(); _ = other.session.Close() }()
	upstream, asked := len(h.api.asked()), admission.asked.Load()
	tt.attack(t, h, victim, other)
	time.Sleep(time.Second)
	tt.checkCounts(t, h)
	if !strings.Contains(h.log.String(), tt.log) {
		t.Errorf("log does not say %s\n%s", tt.log, h.log)
	}
	if n := admission.asked.Load() - asked; n > 1 || n == 1 != tt.asked {
		t.Errorf("Admission was asked %d times, want %v", n, tt.asked)
	}
	if now := h.api.asked()[upstream:]; len(now) > 0 {
		t.Errorf("the API server saw %+v", now)
	}
	if err := victim.session.Err(); (err == nil) != (tt.reason == "") {
		t.Errorf("the victim's link has ended with %v, want %q", err, tt.reason)
	}
	if err := other.session.Err(); err != nil {
		t.Errorf("the other link has ended with %v", err)
	}
	if strings.Contains(h.log.String(), "secret-token") {
		t.Error("log shows the join token")
	}
}

// checkCounts compares all outcomes and reasons, those at zero too.
func (tt *linkAttack) checkCounts(t *testing.T, h *linkHarness) {
	t.Helper()
	words := []string{"up", "crowded", "refused", "broken"}
	for _, o := range outcomes {
		words = append(words, o.word)
	}
	want := map[string]float64{"up": 2, tt.outcome: 1}
	for _, word := range words {
		if n := h.handshakes(word); n != want[word] {
			t.Errorf("picolet_gateway_link_handshakes_total{outcome=%q} is %v, want %v\n%s", word, n, want[word], h.log)
		}
	}
	want = map[string]float64{tt.reason: 1}
	for _, word := range []string{"board", "cut", "silent", "stalled", "broken", "shutdown", "replaced", "revoked"} {
		if n := testutil.ToFloat64(h.metrics.linkEnds.WithLabelValues(word)); n != want[word] {
			t.Errorf("picolet_gateway_link_ends_total{reason=%q} is %v, want %v\n%s", word, n, want[word], h.log)
		}
	}
}

// askedAdmission counts decisions.
type askedAdmission struct {
	Admission
	asked atomic.Int32
}

func (a *askedAdmission) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	a.asked.Add(1)
	return a.Admission.Admit(ctx, n)
}

// tapped is the connection of an honest board, with somebody on the way who keeps
// what passes and may write too.
type tapped struct {
	net.Conn
	session *session.Session
	mute    atomic.Bool // nothing of the board goes on

	mu             sync.Mutex
	sent, received []byte
}

// tap opens a link as the board with a key, and has it make two requests.
func (h *linkHarness) tap(t *testing.T, key int) *tapped {
	t.Helper()
	c := &tapped{Conn: h.links.dial("10.0.0.1:7")}
	node := []string{"", "pico-1", "pico-2"}[key]
	var err error
	c.session, err = session.Dial(t.Context(), c, session.Board{Key: boardKey(key), GatewayKey: gatewayKey().Public, Hello: testHello(node)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		client := linkClient(c.session)
		if r := ask(t, client, "GET", "/api/v1/nodes/"+node, ""); r.code != 200 {
			t.Fatalf("an honest request: %d", r.code)
		}
		client.CloseIdleConnections()
		synctest.Wait()
	}
	if len(c.frames()) < 4 || len(c.answers()) < 4 {
		t.Fatalf("%d frames and %d answers were recorded", len(c.frames()), len(c.answers()))
	}
	return c
}

func (c *tapped) Write(p []byte) (int, error) {
	if c.mute.Load() {
		return len(p), nil
	}
	c.mu.Lock()
	c.sent = append(c.sent, p...)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.received = append(c.received, p[:n]...)
	c.mu.Unlock()
	return n, err
}

// inject writes raw bytes into the link, towards the gateway.
func (c *tapped) inject(p []byte) { _, _ = c.Conn.Write(p) }

// frames are those that the board sent: the handshake, Hello, then its requests.
func (c *tapped) frames() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return splitFrames(bytes.Clone(c.sent))
}

// answers are the gateway's.
func (c *tapped) answers() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return splitFrames(bytes.Clone(c.received))
}

func splitFrames(rest []byte) (all [][]byte) {
	for len(rest) > 2 {
		n := min(2+int(binary.BigEndian.Uint16(rest)), len(rest))
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all
}

// replay writes frames on a new connection and waits for its end.
func (h *linkHarness) replay(frames ...[]byte) {
	c := h.links.dial(attacker)
	defer func() { _ = c.Close() }()
	go func() { _, _ = c.Write(bytes.Join(frames, nil)) }()
	_, _ = io.Copy(io.Discard, c)
}
