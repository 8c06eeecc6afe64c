// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// linkKeys are those of the gateway and of boards, made once.
var linkKeys = sync.OnceValue(func() (keys [4]noise.Key) {
	for i := range keys {
		private, err := noise.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		if keys[i], err = noise.NewKey(private); err != nil {
			panic(err)
		}
	}
	return keys
})

func gatewayKey() noise.Key    { return linkKeys()[0] }
func boardKey(n int) noise.Key { return linkKeys()[n] }
func testHello(n string) noise.Hello {
	return noise.Hello{BoardID: "e661", NodeName: n, Version: "v1", JoinToken: "secret-token"}
}

// linkHarness is a gateway that takes links, with pico-1 and pico-2 allowed.
type linkHarness struct {
	*harness
	list  *AllowList
	links *pipeListener
	end   func() error
}

// startLinks runs a gateway without any network, in a bubble.
func startLinks(t testing.TB, change ...func(*LinkConfig)) *linkHarness {
	t.Helper()
	h := &linkHarness{harness: startPiped(t, newFakeAPI()), list: NewAllowList(), links: newPipeListener()}
	for i, node := range []string{"pico-1", "pico-2"} {
		if err := h.list.Allow(boardKey(i+1).Public, node); err != nil {
			t.Fatal(err)
		}
	}
	c := LinkConfig{Key: gatewayKey(), Admission: h.list}
	for _, f := range change {
		f(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.ServeLinks(ctx, h.links, c) }()
	h.end = sync.OnceValue(func() error { cancel(); return <-done })
	return h
}

// inLinks runs do with a gateway in a bubble, whose goroutines must all end.
func inLinks(t *testing.T, do func(t *testing.T, h *linkHarness), change ...func(*LinkConfig)) {
	t.Helper()
	t.Parallel()
	linkKeys() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		h := startLinks(t, change...)
		defer endBubble(t, h.harness)
		defer func() {
			if err := h.end(); err != nil {
				t.Errorf("ServeLinks: %v", err)
			}
		}()
		do(t, h)
	})
}

// open opens a link as the board with a key.
func (h *linkHarness) open(key int, change ...func(*session.Board)) (*session.Session, error) {
	return h.openFrom("10.0.0.1:7", key, change...)
}

func (h *linkHarness) openFrom(addr string, key int, change ...func(*session.Board)) (*session.Session, error) {
	b := session.Board{Key: boardKey(key), GatewayKey: gatewayKey().Public, Hello: testHello([]string{"", "pico-1", "pico-2", "pico-3"}[key])}
	for _, f := range change {
		f(&b)
	}
	return session.Dial(context.Background(), h.links.dial(addr), b)
}

func mustOpen(t *testing.T, h *linkHarness, key int) *session.Session {
	t.Helper()
	s, err := h.open(key)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s
}

// linkClient makes requests over a link.
func linkClient(s *session.Session) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true, MaxConnsPerHost: 5,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
	}}
}

func (h *linkHarness) handshakes(outcome string) float64 {
	return testutil.ToFloat64(h.metrics.handshakes.WithLabelValues(outcome))
}

// TestLinkIsItsNode: what a board says of itself can agree with its key, and nothing
// else.
func TestLinkIsItsNode(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		for _, tt := range []struct {
			name, method, target, body string
			headers                    []string
			code                       int
		}{
			{"says nothing", "GET", own, "", nil, 200},
			{"says the same", "GET", own, "", []string{nodeHeader, "pico-1", boardHeader, "e661"}, 200},
			{"asks for no node", "GET", oneMap, "", nil, 404},
			{"another path", "GET", "/api/v1/nodes/pico-2", "", nil, 403},
			{"another header", "GET", own, "", []string{nodeHeader, "pico-2"}, 403},
			{"another header for a ConfigMap", "GET", oneMap, "", []string{nodeHeader, "pico-2"}, 403},
			{"an empty header", "GET", own, "", []string{nodeHeader, ""}, 403},
			{"another header for that path", "GET", "/api/v1/nodes/pico-2", "", []string{nodeHeader, "pico-2"}, 403},
			{"another board", "GET", own, "", []string{boardHeader, "e662"}, 403},
			{"another object", "POST", "/api/v1/nodes", `{"metadata":{"name":"pico-2"}}`, nil, 403},
			{"impersonation", "GET", own, "", []string{"Impersonate-User", "system:admin"}, 403},
		} {
			c := linkClient(s)
			if r := ask(t, c, tt.method, tt.target, tt.body, tt.headers...); r.code != tt.code {
				t.Errorf("%s: %d %s", tt.name, r.code, r.body)
			}
			c.CloseIdleConnections()
			synctest.Wait()
		}
		for _, r := range h.api.asked() {
			if user := r.header.Get("Impersonate-User"); user != "system:node:pico-1" {
				t.Errorf("%s asked as %s", r.uri, user)
			}
		}
		if len(h.api.asked()) == 0 {
			t.Error("the API server saw no request at all")
		}
		_ = s.Close()
	})
}

// TestJailbreakThroughALink: the same lures, by a board with a good key.
func TestJailbreakThroughALink(t *testing.T) {
	t.Parallel()
	linkKeys()
	h := startTLS(t, newFakeAPI())
	h.unlimited()
	list := NewAllowList()
	if err := list.Allow(boardKey(1).Public, "pico-1"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: list}) }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Dial(ctx, nc, session.Board{Key: boardKey(1), GatewayKey: gatewayKey().Public, Hello: testHello("pico-1")})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lures() {
		if l.name == "no node named" {
			continue // the key names it
		}
		code, body := exchangeOn(t, s, l.raw)
		if !slices.Contains(l.codes, code) && (code != http.StatusForbidden || !strings.Contains(l.name, "board's name")) { // another board's, here
			t.Errorf("%s: %d %q, want one of %v", l.name, code, body, l.codes)
		}
	}
	if asked := h.api.askedByBoards(); len(asked) > 0 {
		t.Errorf("the API server saw %d requests: %+v", len(asked), asked)
	}
	if code, body := exchangeOn(t, s, get(own)); code != http.StatusOK {
		t.Errorf("the honest request: %d %q", code, body)
	}
	_ = s.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// exchangeOn is exchange over a stream of a link.
func exchangeOn(t *testing.T, s *session.Session, raw string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := s.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return exchangeWith(t, c, raw)
}

// TestHandshakesThatFail are refused, counted and logged, and leave nothing behind.
func TestHandshakesThatFail(t *testing.T) {
	first := make(chan []byte, 1)
	tests := map[string]struct {
		dial    func(t *testing.T, h *linkHarness) error
		outcome string
		log     string
	}{
		"unknown key": {func(_ *testing.T, h *linkHarness) error { return dialError(h.open(3)) }, "refused", "not allowed here"},
		"another node's name": {func(_ *testing.T, h *linkHarness) error {
			return dialError(h.open(1, func(b *session.Board) { b.Hello.NodeName = "pico-2" }))
		}, "refused", `is that of node \"pico-1\"`},
		"wrong gateway key": {func(_ *testing.T, h *linkHarness) error {
			return dialError(h.open(1, func(b *session.Board) { b.GatewayKey = boardKey(2).Public }))
		}, "key", "does not fit our keys"},
		"plain HTTP":         {func(_ *testing.T, h *linkHarness) error { return h.write(get(own)) }, "garbage", "a length that no frame has"},
		"says nothing":       {func(_ *testing.T, h *linkHarness) error { return h.write("") }, "silent", "nothing came in time"},
		"stops after a byte": {func(_ *testing.T, h *linkHarness) error { return h.write("\x00") }, "timeout", "took too long"},
		"hangs up": {func(_ *testing.T, h *linkHarness) error {
			c := h.links.dial("10.0.0.1:7")
			_, _ = c.Write([]byte{0})
			_ = c.Close()
			return errors.New("closed")
		}, "cut", "hung up"},
		"replay": {func(t *testing.T, h *linkHarness) error {
			s, err := session.Dial(t.Context(), &recorded1{Conn: h.links.dial("10.0.0.1:7"), first: first},
				session.Board{Key: boardKey(1), GatewayKey: gatewayKey().Public, Hello: testHello("pico-1")})
			if err != nil {
				return err
			}
			_ = s.Close()
			synctest.Wait()
			// The attacker has what the board sent, and makes up the frame that is due.
			return h.write(string(<-first) + "\x00\x20" + strings.Repeat("x", 32))
		}, "unproved", "changed, repeated or lost"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				if err := tt.dial(t, h); err == nil {
					t.Error("got in")
				}
				time.Sleep(time.Second)
				if n := h.handshakes(tt.outcome); n != 1 {
					t.Errorf("%v handshakes are %q\n%s", n, tt.outcome, h.log)
				}
				if !strings.Contains(h.log.String(), tt.log) {
					t.Errorf("log does not say %q:\n%s", tt.log, h.log)
				}
				if strings.Contains(h.log.String(), "secret-token") {
					t.Error("log shows the join token")
				}
				if h.Gateway.links.count() != 0 || len(h.api.askedByBoards()) != 0 {
					t.Errorf("%d links, requests %v", h.Gateway.links.count(), h.api.asked())
				}
			})
		})
	}
}

// recorded1 is a connection whose first Write is kept.
type recorded1 struct {
	net.Conn
	first chan []byte
}

func (c *recorded1) Write(p []byte) (int, error) {
	select {
	case c.first <- bytes.Clone(p):
	default:
	}
	return c.Conn.Write(p)
}

func dialError(_ *session.Session, err error) error { return err }

// write opens a connection, writes raw bytes and waits for its end.
func (h *linkHarness) write(raw string) error {
	c := h.links.dial("10.0.0.1:7")
	defer func() { _ = c.Close() }()
	go func() { _, _ = io.WriteString(c, raw) }()
	_, _ = io.Copy(io.Discard, c)
	return errors.New("closed")
}

// TestFramesThatWereTouched end a link that is up, and are told.
func TestFramesThatWereTouched(t *testing.T) {
	for name, tt := range map[string]struct {
		touch  func(c net.Conn, frames [][]byte)
		reason string
	}{
		"swapped":  {func(c net.Conn, f [][]byte) { _, _ = c.Write(f[1]); _, _ = c.Write(f[0]) }, "broken"},
		"repeated": {func(c net.Conn, f [][]byte) { _, _ = c.Write(f[0]); _, _ = c.Write(f[0]) }, "broken"},
		"cut":      {func(c net.Conn, f [][]byte) { _, _ = c.Write(f[0][:5]); _ = c.Close() }, "cut"},
		"changed":  {func(c net.Conn, f [][]byte) { f[0][7] ^= 1; _, _ = c.Write(f[0]) }, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				c := &held{Conn: h.links.dial("10.0.0.1:7")}
				s, err := session.Dial(t.Context(), c, session.Board{Key: boardKey(1), GatewayKey: gatewayKey().Public, Hello: testHello("pico-1")})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				c.hold.Store(true)
				for range 2 {
					st, err := s.Dial(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.WriteString(st, get(own))
					synctest.Wait()
				}
				tt.touch(c.Conn, c.frames())
				synctest.Wait()
				if n := testutil.ToFloat64(h.metrics.linkEnds.WithLabelValues(tt.reason)); n != 1 {
					t.Errorf("%v links ended as %q\n%s", n, tt.reason, h.log)
				}
				if !strings.Contains(h.log.String(), `msg="Board's link is down" node=pico-1`) {
					t.Error(h.log)
				}
				if n := len(h.api.asked()); n > 1 {
					t.Errorf("the API server saw %d requests", n)
				}
				_ = s.Close()
			})
		})
	}
}

// TestSecondLinkWithTheSameKey is refused while the first is alive, and takes its place
// when it has fallen silent.
func TestSecondLinkWithTheSameKey(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		c := &held{Conn: h.links.dial("10.0.0.1:7")}
		first, err := session.Dial(t.Context(), c, session.Board{Key: boardKey(1), GatewayKey: gatewayKey().Public, Hello: testHello("pico-1")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.open(1); !errors.Is(err, noise.ErrRefused) || !strings.Contains(err.Error(), "connected already") {
			t.Errorf("second link: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := h.open(1); !errors.Is(err, noise.ErrRefused) {
			t.Errorf("second link after a minute of pings: %v", err)
		}
		c.hold.Store(true)
		time.Sleep(silence + time.Second)
		second, err := h.open(1)
		if err != nil {
			t.Fatalf("link in the place of a silent one: %v", err)
		}
		time.Sleep(time.Second)
		if err := first.Err(); !errors.Is(err, noise.ErrEnded) || !strings.Contains(err.Error(), noise.EndReplaced.String()) {
			t.Errorf("first link: %v", err)
		}
		if r := ask(t, linkClient(second), "GET", own, ""); r.code != 200 {
			t.Errorf("second link: %d", r.code)
		}
		if n := testutil.ToFloat64(h.metrics.linkEnds.WithLabelValues("replaced")); n != 1 || h.Gateway.links.count() != 1 {
			t.Errorf("%v replaced, %d links", n, h.Gateway.links.count())
		}
		_ = first.Close()
		_ = second.Close()
	})
}

// TestRevocation ends a link within a second, whatever the board does.
func TestRevocation(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		other := mustOpen(t, h, 2)
		begin := time.Now()
		h.list.Deny(boardKey(1).Public)
		<-s.Done()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("took %v", d)
		}
		if err := s.Err(); !strings.Contains(err.Error(), noise.EndRevoked.String()) {
			t.Errorf("board: %v", err)
		}
		synctest.Wait()
		if h.Gateway.links.of("pico-1") != nil || h.Gateway.links.of("pico-2") == nil || other.Err() != nil {
			t.Error("the wrong link ended")
		}
		if n := testutil.ToFloat64(h.metrics.linkEnds.WithLabelValues("revoked")); n != 1 {
			t.Errorf("%v revoked\n%s", n, h.log)
		}
		_ = s.Close()
		_ = other.Close()
	})
}

// TestDialBoard reaches the board through its link, five times at once.
func TestDialBoard(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		if _, err := h.DialBoard(t.Context(), "pico-1"); !errors.Is(err, ErrNoLink) {
			t.Errorf("without a link: %v", err)
		}
		s := mustOpen(t, h, 1)
		go func() {
			for {
				c, err := s.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "hello")
			}
		}()
		for range 5 {
			c, err := h.DialBoard(t.Context(), "pico-1")
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.DialBoard(ctx, "pico-1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("sixth stream: %v", err)
		}
		_ = s.Close()
	})
}

// TestPlainBoardCannotBeALinkedNode: whoever poses as a board by plain HTTP does not
// get a node whose board has come by link, nor keep it.
func TestPlainBoardCannotBeALinkedNode(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		impostor := h.client("10.0.0.9:1")
		if r := ask(t, impostor, "GET", own, ""); r.code != 200 {
			t.Fatalf("before the link: %d", r.code)
		}
		s := mustOpen(t, h, 1)
		for _, c := range []*http.Client{impostor, h.client("10.0.0.8:1")} {
			if r := ask(t, c, "GET", own, ""); r.code != http.StatusConflict {
				t.Errorf("beside the link: %d", r.code)
			}
			c.CloseIdleConnections()
		}
		if r := ask(t, linkClient(s), "GET", own, ""); r.code != 200 {
			t.Errorf("over the link: %d", r.code)
		}
		_ = s.Close()
	})
}

// TestCrowds: those who say nothing do not keep out those who do, and are bounded.
func TestCrowds(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		var silent []net.Conn
		for range 500 {
			silent = append(silent, h.links.dial("10.0.0.66:1"))
		}
		synctest.Wait()
		s, err := h.open(1)
		if err != nil {
			t.Fatalf("a board among strangers: %v", err)
		}
		synctest.Wait()
		if n := h.handshakes("crowded"); n != 480 {
			t.Errorf("%v of 500 were closed, with room for 20", n)
		}
		// Of many addresses: the oldest goes.
		for i := range 100 {
			silent = append(silent, h.links.dial("10.0.1."+string(rune('0'+i%10))+string(rune('0'+i/10))+":1"))
		}
		other, err := h.open(2)
		if err != nil {
			t.Fatalf("another board: %v", err)
		}
		time.Sleep(noise.HandshakeTime)
		synctest.Wait()
		if n := h.handshakes("silent") + h.handshakes("crowded"); n != 600 {
			t.Errorf("%v of 600 were closed\n", n)
		}
		for _, c := range silent {
			_ = c.Close()
		}
		_ = s.Close()
		_ = other.Close()
	}, func(c *LinkConfig) { c.MaxHandshakes, c.MaxHandshakesPerAddress = 40, 20 })
}

// TestThousandLinksAtOnce all get in, over the network.
func TestThousandLinksAtOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds of processor time")
	}
	boards := 1000
	if raced {
		boards = 20 // the race detector makes a handshake 50 times as slow
	}
	h := startTLS(t, newFakeAPI())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: everybody{}}) }()
	var opening sync.WaitGroup
	var tries atomic.Int32
	for range boards {
		opening.Go(func() {
			private, err := noise.GenerateKey(rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			key, err := noise.NewKey(private)
			if err != nil {
				t.Error(err)
				return
			}
			b := session.Board{Key: key, GatewayKey: gatewayKey().Public, Hello: testHello("pico-" + Fingerprint(key.Public))}
			for ctx.Err() == nil { // as boards do
				nc, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := session.Dial(ctx, nc, b); err == nil {
					return
				}
				tries.Add(1)
			}
		})
	}
	opening.Wait()
	t.Logf("%d handshakes were tried again", tries.Load())
	eventually(t, "all links are up", func() bool { return h.Gateway.links.count() == boards })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := h.Gateway.links.count(); n != 0 {
		t.Errorf("%d links are left", n)
	}
}

// everybody is an Admission that asks for nothing.
type everybody struct{}

func (everybody) Admit(_ context.Context, n Newcomer) (Admitted, error) {
	ctx, cancel := context.WithCancel(context.Background())
	return Admitted{Node: n.Hello.NodeName, Context: ctx, Release: cancel}, nil
}

// TestLinksAreTold: a line for each link that comes and goes, with no secret.
func TestLinksAreTold(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		ask(t, linkClient(s), "GET", own, "")
		_ = s.Close()
		synctest.Wait()
		for _, want := range []string{
			`msg="Board's link is up" node=pico-1 key=` + Fingerprint(boardKey(1).Public) + ` addr=10.0.0.1`,
			`msg="Board's link is down" node=pico-1 key=` + Fingerprint(boardKey(1).Public) + ` addr=10.0.0.1 reason=board`,
		} {
			if !strings.Contains(h.log.String(), want) {
				t.Errorf("log does not say %s\n%s", want, h.log)
			}
		}
		for name, c := range map[string]prometheus.Counter{"received": h.metrics.linkReceived, "sent": h.metrics.linkSent} {
			if n := testutil.ToFloat64(c); n < 150 {
				t.Errorf("%v bytes %s", n, name)
			}
		}
	})
}
