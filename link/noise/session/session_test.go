// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/link/noise"
)

// The link's streams are those of a kubelet, without a package knowing the other.
func TestStreamsAreAKubelets(t *testing.T) {
	t.Parallel()
	if noise.NumStreams != kubelet.NumStreams || noise.FirstServed != noise.Stream(kubelet.StreamServed) {
		t.Errorf("the link has %d streams, the gateway's from %d; a kubelet %d, from %d",
			noise.NumStreams, noise.FirstServed, kubelet.NumStreams, kubelet.StreamServed)
	}
}

var keys = sync.OnceValues(func() (board, gateway noise.Key) { return newKey(), newKey() })

func newKey() noise.Key {
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

func testBoard() Board {
	key, gateway := keys()
	return Board{
		Key: key, GatewayKey: gateway.Public,
		Hello: noise.Hello{BoardID: "e661", NodeName: "pico-1", Version: "v0.3.0", JoinToken: "join-me"},
	}
}

func testGateway() Gateway {
	_, key := keys()
	return Gateway{Key: key, Admit: func(context.Context, Peer) (string, time.Duration) { return "", 0 }}
}

// result is what Accept returned.
type result struct {
	session *Session
	err     error
}

// meet lets both ends shake hands over a pipe.
func meet(ctx context.Context, near, far net.Conn, b Board, g Gateway) (board, gateway result) {
	c := make(chan result)
	go func() {
		s, err := Accept(ctx, far, g)
		c <- result{s, err}
	}()
	s, err := Dial(ctx, near, b)
	return result{s, err}, <-c
}

// connect returns two sessions that end with the test.
func connect(t testing.TB) (board, gateway *Session) {
	t.Helper()
	near, far := linktest.Pipe()
	b, g := meet(t.Context(), near, far, testBoard(), testGateway())
	if b.err != nil || g.err != nil {
		t.Fatal(b.err, g.err)
	}
	t.Cleanup(func() {
		_ = b.session.Close()
		_ = g.session.Close()
	})
	return b.session, g.session
}

// stream returns both ends of a stream that the board opened.
func connectStream(t *testing.T, board, gateway *Session) (near, far net.Conn) {
	t.Helper()
	near, err := board.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = gateway.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestGatewayLearnsWhoTheBoardIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked Peer
		g := testGateway()
		g.Admit = func(_ context.Context, p Peer) (string, time.Duration) { asked = p; return "", 0 }
		near, far := linktest.Pipe()
		b := testBoard()
		board, gateway := meet(t.Context(), near, far, b, g)
		if board.err != nil || gateway.err != nil {
			t.Fatal(board.err, gateway.err)
		}
		if asked.Key != b.Key.Public || asked.Hello.JoinToken != "join-me" || gateway.session.Peer() != asked {
			t.Errorf("asked about %v %#v", asked.Key, asked.Hello)
		}
		if board.session.Peer().Key != b.GatewayKey {
			t.Errorf("the board's peer is %v", board.session.Peer().Key)
		}
		// Closing one ends both, and synctest sees to it that nothing is left running.
		if err := board.session.Close(); err != nil {
			t.Error(err)
		}
		<-gateway.session.Done()
		if err := gateway.session.Err(); !errors.Is(err, noise.ErrEnded) || !strings.Contains(err.Error(), "shutdown") {
			t.Errorf("gateway: %v", err)
		}
		if err := board.session.Err(); !errors.Is(err, noise.ErrClosed) {
			t.Errorf("board: %v", err)
		}
	})
}

func TestRefusalIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := testGateway()
		g.Admit = func(context.Context, Peer) (string, time.Duration) { return "Device pico-1 is pending", 0 }
		near, far := linktest.Pipe()
		board, gateway := meet(t.Context(), near, far, testBoard(), g)
		if !errors.Is(board.err, noise.ErrRefused) || !strings.Contains(board.err.Error(), "Device pico-1 is pending") {
			t.Errorf("board: %v", board.err)
		}
		if !errors.Is(gateway.err, noise.ErrRefused) {
			t.Errorf("gateway: %v", gateway.err)
		}
	})
}

func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	stranger := newKey()
	for name, test := range map[string]struct {
		change         func(*Board, *Gateway)
		board, gateway error
	}{
		"the board knows another gateway": {func(b *Board, _ *Gateway) { b.GatewayKey = stranger.Public }, noise.ErrHandshakeCut, noise.ErrHandshake},
		"no hello":                        {func(b *Board, _ *Gateway) { b.Hello = noise.Hello{} }, noise.ErrHello, noise.ErrHandshakeCut},
		"no key":                          {func(_ *Board, g *Gateway) { g.Key = noise.Key{} }, noise.ErrHandshakeCut, noise.ErrKey},
		"nobody decides":                  {func(_ *Board, g *Gateway) { g.Admit = nil }, noise.ErrHandshakeCut, noise.ErrConfig},
		"memory below zero":               {func(b *Board, _ *Gateway) { b.Memory = -1 }, noise.ErrConfig, noise.ErrHandshakeCut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, g := testBoard(), testGateway()
				test.change(&b, &g)
				near, far := linktest.Pipe()
				board, gateway := meet(t.Context(), near, far, b, g)
				if !errors.Is(board.err, test.board) || !errors.Is(gateway.err, test.gateway) {
					t.Errorf("board %v, gateway %v, want %v, %v", board.err, gateway.err, test.board, test.gateway)
				}
			})
		})
	}
}

func TestDecisionThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := testGateway()
		g.Admit = func(ctx context.Context, _ Peer) (string, time.Duration) { <-ctx.Done(); return "", 0 }
		near, far := linktest.Pipe()
		time.AfterFunc(time.Millisecond, func() {
			if _, err := Dial(t.Context(), near, testBoard()); !errors.Is(err, noise.ErrHandshakeCut) {
				t.Errorf("board: %v", err)
			}
		})
		if _, err := Accept(t.Context(), far, g); !errors.Is(err, noise.ErrHandshakeTimeout) {
			t.Errorf("gateway: %v", err)
		}
		synctest.Wait()
	})
}

// Those who connect and say nothing, or drip bytes, are gone after HandshakeTime.
func TestSlowClientsAreThrownOut(t *testing.T) {
	t.Parallel()
	for name, talk := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"drips": func(c net.Conn) {
			for _, b := range []byte{0, 97, 1, 9, 9, 9, 9, 9, 9} {
				_, _ = c.Write([]byte{b})
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near, far := linktest.Pipe()
				go talk(near)
				start := time.Now()
				_, err := Accept(t.Context(), far, testGateway())
				if !errors.Is(err, noise.ErrHandshakeTimeout) || time.Since(start) != noise.HandshakeTime {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		near, far := linktest.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := Dial(ctx, near, testBoard()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is still open: %v", err)
		}
	})
}
