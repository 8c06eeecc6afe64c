// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// crowdHarness is a gateway on loopback that takes everybody's links, and some
// honest boards that renew their leases through it.
type crowdHarness struct {
	*harness
	addr   string // for links
	honest []*honestBoard
	done   context.CancelFunc
	busy   sync.WaitGroup
}

// honestBoard renews its lease, again and again.
type honestBoard struct {
	node     string
	session  *session.Session
	renewals atomic.Int64
}

const honestBoards = 5

func startCrowd(t *testing.T) *crowdHarness {
	t.Helper()
	h := &crowdHarness{harness: startTLS(t, newFakeAPI())}
	h.unlimited()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	var ctx context.Context
	ctx, h.done = context.WithCancel(context.Background())
	h.busy.Go(func() {
		if err := h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: everybody{}}); err != nil {
			t.Errorf("ServeLinks: %v", err)
		}
	})
	t.Cleanup(h.stopAll)
	for i := range honestBoards {
		b := &honestBoard{node: fmt.Sprintf("honest-%d", i)}
		if b.session, err = h.open(1, b.node); err != nil {
			t.Fatal(err)
		}
		h.honest = append(h.honest, b)
		h.busy.Go(func() { b.renew(ctx, t) })
	}
	return h
}

func (h *crowdHarness) stopAll() {
	h.done()
	h.busy.Wait()
}

// renew stands for a kubelet, which renews each ten seconds.
func (b *honestBoard) renew(ctx context.Context, t *testing.T) {
	client := linkClient(b.session)
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodPatch, "http://gateway"+leaseOf(b.node), strings.NewReader(`{"spec":{"leaseDurationSeconds":40}}`))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Content-Type", "application/merge-patch+json")
		resp, err := client.Do(r)
		if ctx.Err() != nil {
			return
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s cannot renew its lease: %v %v", b.node, resp, err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		b.renewals.Add(1)
		sleep(ctx, 10*time.Millisecond) // far beyond the budget, which is not tested here
	}
}

func leaseOf(node string) string {
	return "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + node
}

// checkHonest waits until each honest board has renewed its lease some more, over
// the link that it had.
func (h *crowdHarness) checkHonest(t *testing.T) {
	t.Helper()
	var before [honestBoards]int64
	for i, b := range h.honest {
		before[i] = b.renewals.Load()
	}
	for i, b := range h.honest {
		eventually(t, b.node+" renews its lease ten times", func() bool { return b.renewals.Load() >= before[i]+10 || t.Failed() })
		if err := b.session.Err(); err != nil {
			t.Errorf("the link of %s has ended: %v", b.node, err)
		}
	}
}

// open opens a link with a key of its own.
func (h *crowdHarness) open(host int, node string) (*session.Session, error) {
	private, err := noise.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := noise.NewKey(private)
	if err != nil {
		return nil, err
	}
	c, err := h.dial(host)
	if err != nil {
		return nil, err
	}
	return session.Dial(context.Background(), c, session.Board{Key: key, GatewayKey: gatewayKey().Public, Hello: testHello(node)})
}

// dial connects from one of the addresses of loopback.
func (h *crowdHarness) dial(host int) (net.Conn, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(host))}}
	return from.Dial("tcp", h.addr)
}

// crowd connects n times from ten addresses, and closes all when the test ends.
func (h *crowdHarness) crowd(t *testing.T, n int) []net.Conn {
	t.Helper()
	var all []net.Conn
	t.Cleanup(func() {
		for _, c := range all {
			_ = c.Close()
		}
	})
	for i := range n {
		c, err := h.dial(2 + i%10)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// badBoards opens links whose keys are as good as any.
func (h *crowdHarness) badBoards(t *testing.T, n int) []*session.Session {
	t.Helper()
	all := make([]*session.Session, n)
	var opening sync.WaitGroup
	t.Cleanup(func() {
		for _, s := range all {
			if s != nil {
				_ = s.Close()
			}
		}
	})
	for i := range n {
		opening.Go(func() {
			var err error
			for range 5 { // as boards do
				if all[i], err = h.open(2+i%10, fmt.Sprintf("bad-%d", i)); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
	opening.Wait()
	return all
}

// TestNodesStandCrowds: whoever comes, boards whose links are up renew their
// leases, and a board that comes now gets in.
func TestNodesStandCrowds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of processor time")
	}
	requireFiles(t, 16_000)
	linkKeys()
	for name, crowd := range map[string]func(*testing.T, *crowdHarness){
		"10 000 that say nothing":   silentCrowd,
		"2 000 that send garbage":   garbageCrowd,
		"1 000 links at once":       linksCrowd,
		"100 links of slow frames":  slowFrames,
		"100 links that never read": unreadAnswers,
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the limit of files
			h := startCrowd(t)
			h.checkHonest(t)
			crowd(t, h)
			h.checkHonest(t)
			late, err := h.open(1, "late")
			if err != nil {
				t.Fatalf("a board that comes now: %v", err)
			}
			t.Cleanup(func() { _ = late.Close() })
			eventually(t, "its link is up", func() bool { return h.Gateway.links.of("late") != nil })
			h.checkHonest(t)
		})
	}
}

// requireFiles skips where the system does not let a process have n open files,
// or has one loopback address only.
func requireFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil { // package os has raised it to the hard limit
		t.Fatal(err)
	}
	switch tooFew := uint64(limit.Cur) < n; {
	case runtime.GOOS != "linux":
		t.Skip("needs 127.0.0.2 to 127.0.0.11")
	case tooFew && os.Getenv("CI") == "true":
		t.Fatalf("%d open files are allowed: raise the hard limit (ulimit -Hn) to %d", limit.Cur, n)
	case tooFew:
		t.Skipf("%d open files are allowed: raise the hard limit (ulimit -Hn) to %d", limit.Cur, n)
	}
}

func silentCrowd(t *testing.T, h *crowdHarness) {
	const comers, places = 10_000, 2048
	h.crowd(t, comers)
	eventually(t, "all but the last are closed", func() bool { return h.outcome("crowded") >= comers-places })
	if n := h.outcome("crowded"); n != comers-places {
		t.Errorf("%v of %d were closed, with room for %d", n, comers, places)
	}
}

func garbageCrowd(t *testing.T, h *crowdHarness) {
	const comers = 2000
	var garbage [256]byte
	for _, c := range h.crowd(t, comers) {
		_, _ = rand.Read(garbage[:])
		_, _ = c.Write(garbage[:]) // the gateway may have hung up
	}
	bad := func() float64 { return h.outcome("garbage") + h.outcome("key") + h.outcome("crowded") }
	eventually(t, "all are refused", func() bool { return bad() == comers })
}

func (h *crowdHarness) outcome(word string) float64 {
	return (&linkHarness{harness: h.harness}).handshakes(word)
}

func linksCrowd(t *testing.T, h *crowdHarness) {
	boards := 1000
	if raced {
		boards = 20 // the race detector makes a handshake 50 times as slow
	}
	h.badBoards(t, boards)
	eventually(t, "all links are up", func() bool { return h.Gateway.links.count() == boards+honestBoards })
}

// slowFrames: each frame comes byte by byte.
func slowFrames(t *testing.T, h *crowdHarness) {
	boards := crowdOfLinks()
	for i := range boards {
		c, err := h.dial(2 + i%10)
		if err != nil {
			t.Fatal(err)
		}
		slow := &held{Conn: c}
		s, err := session.Dial(context.Background(), slow, session.Board{
			Key: newTestKey(t), GatewayKey: gatewayKey().Public, Hello: testHello(fmt.Sprintf("bad-%d", i)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		slow.hold.Store(true)
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		h.busy.Go(func() { trickle(ctx, c) })
	}
	eventually(t, "all links are up", func() bool { return h.Gateway.links.count() == boards+honestBoards })
}

// trickle writes the length of a long frame, and then its bytes, slowly.
func trickle(ctx context.Context, c net.Conn) {
	for _, b := range append([]byte{4, 0}, make([]byte, 1000)...) {
		if _, err := c.Write([]byte{b}); err != nil || ctx.Err() != nil {
			return
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

// unreadAnswers: each board makes requests on all its streams and reads nothing.
func unreadAnswers(t *testing.T, h *crowdHarness) {
	boards := crowdOfLinks()
	for i, s := range h.badBoards(t, boards) {
		for range 3 {
			c, err := s.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, strings.Repeat(get(fmt.Sprintf("/api/v1/nodes/bad-%d", i)), 20))
		}
	}
}

func crowdOfLinks() int {
	if raced {
		return 10
	}
	return 100
}

func newTestKey(t *testing.T) noise.Key {
	t.Helper()
	private, err := noise.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := noise.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// BenchmarkSilentConnection is the memory of a connection that says nothing: heap
// and stacks of the gateway. The other end is a raw connection.
func BenchmarkSilentConnection(b *testing.B) {
	const conns = 1000
	h := startTLS(b, newFakeAPI())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: everybody{}}) }()
	gone := func() float64 { return (&linkHarness{harness: h}).handshakes("silent") }
	for b.Loop() {
		before, wasGone := inUse(), gone()
		var all []net.Conn
		for range conns {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, c)
		}
		b.ReportMetric(float64(inUse()-before)/conns, "B/connection")
		for _, c := range all {
			_ = c.Close()
		}
		eventually(b, "they are gone", func() bool { return gone() == wasGone+conns })
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
