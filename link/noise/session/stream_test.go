// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/link/noise"
)

func TestStreamsCarryBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board, gateway := connect(t)
		near, far := connectStream(t, board, gateway)
		want := bytes.Repeat([]byte("0123456789abcdef"), 20000)
		go func() {
			_, _ = near.Write(want)
			_ = near.Close()
		}()
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, noise.ErrStreamReset) {
			t.Errorf("Write to who has closed: %v", err)
		}
		_ = far.Close()
		if err := far.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
	})
}

// The gateway opens streams through the connection that the board opened.
func TestBothEndsOpenStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board, gateway := connect(t)
		for _, test := range []struct {
			opener, other *Session
			id, wrong     noise.Stream
		}{{board, gateway, 3, 7}, {gateway, board, 7, 3}} {
			if _, err := test.opener.Open(t.Context(), test.wrong); !errors.Is(err, ErrStream) {
				t.Errorf("Open(%d): %v, want ErrStream", test.wrong, err)
			}
			for range 3 { // one use after the other
				near, err := test.opener.Open(t.Context(), test.id)
				if err != nil {
					t.Fatal(err)
				}
				far, err := test.other.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = near.Write([]byte("hello"))
				_ = near.Close()
				if got, err := io.ReadAll(far); string(got) != "hello" || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				_ = far.Close()
			}
		}
	})
}

func TestDialWaitsForAFreeStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board, gateway := connect(t)
		var near, far net.Conn
		for range noise.NumStreams - int(noise.FirstServed) {
			near, far = connectStream(t, gateway, board)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := gateway.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a sixth stream: %v", err)
		}
		_ = near.Close()
		_ = far.Close()
		if _, err := gateway.Dial(t.Context()); err != nil {
			t.Errorf("after one was closed: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board, gateway := connect(t)
		near, far := connectStream(t, board, gateway)
		start := time.Now()
		_ = near.SetReadDeadline(start.Add(time.Second))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		_ = near.SetReadDeadline(time.Time{})
		go func() { _, _ = far.Write([]byte("x")) }()
		if n, err := near.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Read without a deadline: %d, %v", n, err)
		}
		// Nobody reads: the window fills, and Write waits.
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := near.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n > DefaultMemory {
			t.Errorf("Write: %d, %v", n, err)
		}
		// A deadline that has passed already, and one that is set while Read waits.
		_ = near.SetDeadline(time.Now().Add(-1))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read after its deadline: %v", err)
		}
		_ = near.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { _ = near.SetReadDeadline(time.Now()) })
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read with a deadline set late: %v", err)
		}
	})
}

// A reader that stands still keeps only its own writer waiting.
func TestSlowReaderHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board, gateway := connect(t)
		stuck, _ := connectStream(t, board, gateway)
		near, far := connectStream(t, board, gateway)
		go func() { _, _ = stuck.Write(make([]byte, 1<<20)) }()
		want := bytes.Repeat([]byte("x"), 100_000)
		go func() {
			_, _ = near.Write(want)
			_ = near.Close()
		}()
		if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

// Small writes of several streams leave in few Writes of the connection.
func TestSmallWritesAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		gate := &gated{Conn: near, open: make(chan struct{}, 1)}
		gate.open <- struct{}{}
		b, g := meet(t.Context(), gate, far, testBoard(), testGateway())
		if b.err != nil || g.err != nil {
			t.Fatal(b.err, g.err)
		}
		near0, far0 := connectStream(t, b.session, g.session)
		<-gate.open // from here on Writes wait
		gate.writes = 0
		for range 30 {
			_, _ = near0.Write([]byte("0123456789"))
		}
		gate.open <- struct{}{}
		got := make([]byte, 300)
		if _, err := io.ReadFull(far0, got); err != nil {
			t.Fatal(err)
		}
		if gate.writes > 3 {
			t.Errorf("30 small writes left in %d", gate.writes)
		}
		_ = b.session.Close()
		_ = g.session.Close()
	})
}

// gated is a connection whose Writes wait for a token.
type gated struct {
	net.Conn
	open   chan struct{}
	writes int
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	defer func() { g.open <- struct{}{} }()
	g.writes++
	return g.Conn.Write(p)
}

func TestBrokenConnectionEndsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		b, g := meet(t.Context(), near, far, testBoard(), testGateway())
		if b.err != nil || g.err != nil {
			t.Fatal(b.err, g.err)
		}
		one, other := connectStream(t, b.session, g.session)
		read := make(chan error, 2)
		go func() { _, err := one.Read(make([]byte, 1)); read <- err }()
		go func() { _, err := g.session.Accept(); read <- err }()
		synctest.Wait()
		_ = far.Close()
		for range 2 {
			if err := <-read; !errors.Is(err, noise.ErrTruncated) {
				t.Errorf("%v, want ErrTruncated", err)
			}
		}
		if _, err := other.Write([]byte("x")); !errors.Is(err, noise.ErrTruncated) {
			t.Errorf("Write: %v, want ErrTruncated", err)
		}
		if _, err := b.session.Dial(t.Context()); !errors.Is(err, noise.ErrTruncated) {
			t.Errorf("Dial: %v, want ErrTruncated", err)
		}
		_ = b.session.Close()
		_ = g.session.Close()
	})
}

func TestSilentPeerEndsASession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		lost := &silenced{Conn: near}
		b, g := meet(t.Context(), lost, far, testBoard(), testGateway())
		if b.err != nil || g.err != nil {
			t.Fatal(b.err, g.err)
		}
		time.Sleep(10 * noise.DefaultIdle)
		if b.session.Err() != nil || g.session.Err() != nil {
			t.Fatalf("board %v, gateway %v: pings should have kept it", b.session.Err(), g.session.Err())
		}
		lost.mu.Lock()
		lost.silent = true
		lost.mu.Unlock()
		start := time.Now()
		<-g.session.Done()
		if since := time.Since(start); !errors.Is(g.session.Err(), noise.ErrSilent) || since > 3*noise.DefaultIdle {
			t.Errorf("gateway: %v after %v", g.session.Err(), since)
		}
		_ = b.session.Close()
	})
}

// silenced takes what is written and, in the end, delivers none of it.
type silenced struct {
	net.Conn
	mu     sync.Mutex
	silent bool
}

func (c *silenced) Write(p []byte) (int, error) {
	c.mu.Lock()
	silent := c.silent
	c.mu.Unlock()
	if silent {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A revoked board hears of it within a second, even if it does not read.
func TestEndTakesLessThanASecond(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]linktest.Faults{"reads": {}, "does not read": {StallAfter: 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				near, far := linktest.Pipe()
				b, g := meet(t.Context(), faults.Wrap(near), far, testBoard(), testGateway())
				if b.err != nil || g.err != nil {
					t.Fatal(b.err, g.err)
				}
				to, err := g.session.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = to.Write(make([]byte, 1<<16)) }()
				synctest.Wait()
				start := time.Now()
				_ = g.session.End(noise.EndRevoked)
				if since := time.Since(start); since > time.Second {
					t.Errorf("End took %v", since)
				}
				<-b.session.Done()
				if err := b.session.Err(); name == "reads" && !errors.Is(err, noise.ErrEnded) {
					t.Errorf("board: %v", err)
				}
				_ = b.session.Close()
			})
		})
	}
}

// Both directions of HTTP, by the standard library, over real TCP.
func TestHTTPOverASession(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	b, g := meet(t.Context(), near, far, testBoard(), testGateway())
	if b.err != nil || g.err != nil {
		t.Fatal(b.err, g.err)
	}
	body := strings.Repeat("lorem ipsum ", 5000)
	var servers sync.WaitGroup
	for _, s := range []*Session{b.session, g.session} {
		servers.Go(func() {
			server := http.Server{
				Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }),
				ReadHeaderTimeout: time.Minute,
			}
			_ = server.Serve(s)
			_ = server.Close()
		})
	}
	var clients sync.WaitGroup
	for _, s := range []*Session{b.session, g.session} {
		tr := &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
			MaxConnsPerHost: 5,
		}
		defer tr.CloseIdleConnections()
		for range 20 {
			clients.Go(func() {
				resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get("http://node/")
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				if got, err := io.ReadAll(resp.Body); string(got) != body || err != nil {
					t.Errorf("read %d bytes of %d, %v", len(got), len(body), err)
				}
			})
		}
	}
	clients.Wait()
	_ = g.session.Close()
	_ = b.session.Close()
	servers.Wait()
}

func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		near, far := linktest.Pipe()
		board, gateway := meet(b.Context(), near, far, testBoard(), testGateway())
		if board.err != nil || gateway.err != nil {
			b.Fatal(board.err, gateway.err)
		}
		_ = board.session.Close()
		_ = gateway.session.Close()
	}
}

func BenchmarkStream(b *testing.B) {
	board, gateway := connect(b)
	near, err := board.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	far, err := gateway.Accept()
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, far) }()
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := near.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}
