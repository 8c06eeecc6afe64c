// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
	"github.com/picolet/picolet/linked"
)

var _ fleet.Kubelet = (*linked.Kubelet)(nil)

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

// world is a node over links, and the gateway that takes them.
type world struct {
	t       *testing.T
	net     *linktest.Network
	refusal string                        // of the gateway
	delay   time.Duration                 // with its refusals
	wrap    func(link.Dialer) link.Dialer // Optional: what is wrong with connections
	change  func(*linked.Config)          // Optional
	gateway func(*session.Gateway)        // Optional: changes the gateway's end of the next link

	mu       sync.Mutex
	said     bytes.Buffer // the kubelet's log
	sessions []*session.Session
	errs     []error
	asked    []string
}

type noSensors struct{}

func (noSensors) Read(time.Duration, *board.Readings) {}

// in runs do while a node lives in a bubble of virtual time.
func in(t *testing.T, w *world, do func()) {
	t.Helper()
	t.Parallel()
	keys() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		w.t, w.net = t, linktest.NewNetwork()
		var running sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		running.Go(func() { w.listen(ctx, &running) })
		var dialer link.Dialer = w.net
		if w.wrap != nil {
			dialer = w.wrap(dialer)
		}
		n, err := fleet.NewNode(fleet.Options{Name: "pico-1", Boot: w.boot, Dialer: dialer, Log: slog.New(slog.NewTextHandler(w, nil))})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := n.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer running.Wait()
		defer func() { _ = w.net.Close() }()
		defer cancel()
		do()
	})
}

func (w *world) boot(int) (fleet.Kubelet, error) {
	k := new(kubelet.Kubelet)
	err := k.Configure(kubelet.Config{
		NodeName: "pico-1", Host: "gateway", Version: "v1.37.2", Seed: 7,
		Board: board.Board{Facts: board.Facts{Model: "rp2040", ID: "e6614"}, Sensors: noSensors{}},
	})
	if err != nil {
		return nil, err
	}
	own, gateway := keys()
	c := linked.Config{
		Kubelet: k, Key: own, GatewayKey: gateway.Public, Random: rand.Reader, Memory: make([]byte, noise.BufferSize),
		Hello: noise.Hello{BoardID: "e6614", NodeName: "pico-1", Version: "v1", JoinToken: "join-me"},
	}
	if w.change != nil {
		w.change(&c)
	}
	return linked.New(c)
}

// listen is the gateway: it takes links, and serves their streams by HTTP.
func (w *world) listen(ctx context.Context, running *sync.WaitGroup) {
	for {
		nc, err := w.net.Accept()
		if err != nil {
			return
		}
		running.Go(func() { w.take(ctx, nc, running) })
	}
}

func (w *world) take(ctx context.Context, nc net.Conn, running *sync.WaitGroup) {
	_, key := keys()
	g := session.Gateway{Key: key, Admit: func(_ context.Context, p session.Peer) (string, time.Duration) {
		if p.Hello.JoinToken != "join-me" {
			w.t.Errorf("hello is %#v", p.Hello)
		}
		return w.refuses(), w.delay
	}}
	if w.gateway != nil {
		w.gateway(&g)
	}
	s, err := session.Accept(ctx, nc, g)
	w.mu.Lock()
	w.errs = append(w.errs, err)
	if err == nil {
		w.sessions = append(w.sessions, s)
	}
	w.mu.Unlock()
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	server := &http.Server{Handler: http.HandlerFunc(w.answer), ReadHeaderTimeout: time.Minute}
	running.Go(func() {
		_ = server.Serve(s)
		_ = server.Close()
	})
}

func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.asked = append(w.asked, r.Method+" "+r.URL.Path)
	w.mu.Unlock()
	switch {
	case r.URL.Query().Get("watch") != "":
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	case strings.HasSuffix(r.URL.Path, "/configmaps"):
		_, _ = io.WriteString(rw, `{"metadata":{"resourceVersion":"1"},"items":[]}`)
	case r.Method == http.MethodPost:
		rw.WriteHeader(http.StatusCreated)
		_, _ = rw.Write(body)
	default:
		_, _ = io.WriteString(rw, `{"metadata":{"name":"pico-1","uid":"1","resourceVersion":"1"}}`)
	}
}

// session is the last link.
func (w *world) session() *session.Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sessions) == 0 {
		return nil
	}
	return w.sessions[len(w.sessions)-1]
}

func (w *world) heard(what string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if strings.HasPrefix(a, what) {
			n++
		}
	}
	return n
}

func (w *world) links() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sessions)
}

func (w *world) tries() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.errs)
}

// until lets time pass until ok holds.
func (w *world) until(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); ; {
		synctest.Wait()
		if ok() {
			return
		}
		if !time.Now().Before(end) {
			w.t.Fatalf("not after %v: %s\n%s%q", limit, what, w.log(), w.asked)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// refuses is why the gateway refuses links, empty if it does not.
func (w *world) refuses() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

// Write takes the kubelet's log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(p)
}

// log is what the kubelet has logged.
func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

func (w *world) registered() bool { return strings.Contains(w.log(), "Node registered") }

// get asks the kubelet port through the link.
func (w *world) get(path string) (int, string, error) {
	c, err := w.session().Dial(w.t.Context())
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestNodeLivesOverALink(t *testing.T) {
	w := &world{}
	in(t, w, func() {
		w.until(10*time.Second, "the node is registered", w.registered)
		w.until(time.Minute, "its lease is renewed", func() bool { return w.heard(leases) > 3 })
		time.Sleep(10 * time.Minute)
		if w.links() != 1 || w.session().Err() != nil {
			t.Errorf("%d links, %v", w.links(), w.session().Err())
		}
	})
}

// Six clients at once: the gateway opens five streams, and no client waits for ever.
func TestKubeletPortIsReachedThroughTheLink(t *testing.T) {
	w := &world{}
	in(t, w, func() {
		w.until(10*time.Second, "the node is registered", w.registered)
		var clients sync.WaitGroup
		for range 6 {
			clients.Go(func() {
				for range 5 {
					if code, body, err := w.get("/healthz"); code != http.StatusOK || err != nil {
						t.Errorf("/healthz: %d %q, %v", code, body, err)
					}
				}
			})
		}
		clients.Wait()
		code, body, err := w.get("/metrics")
		if code != http.StatusOK || err != nil || !bytes.HasSuffix([]byte(body), []byte("\n")) || len(body) < 1000 {
			t.Errorf("/metrics: %d, %d bytes, %v", code, len(body), err)
		}
	})
}

// A client that reads nothing holds up its own stream alone.
func TestSlowClientHoldsUpNobodyElse(t *testing.T) {
	w := &world{}
	in(t, w, func() {
		w.until(10*time.Second, "the node is registered", w.registered)
		c, err := w.session().Dial(w.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 20))
		before := w.heard(leases)
		w.until(time.Minute, "leases are renewed", func() bool { return w.heard(leases) > before+2 })
		if code, _, err := w.get("/healthz"); code != http.StatusOK || err != nil {
			t.Errorf("/healthz: %d, %v", code, err)
		}
		_ = c.Close()
	})
}

func TestLinkComesBack(t *testing.T) {
	tests := map[string]func(*world, *session.Session){
		"gateway ends": func(_ *world, s *session.Session) { _ = s.Close() },
		"replaced":     func(_ *world, s *session.Session) { _ = s.End(noise.EndReplaced) },
		"gateway is off": func(w *world, s *session.Session) {
			w.net.Refuse(true)
			_ = s.Close()
			time.Sleep(time.Minute)
			w.net.Refuse(false)
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			in(t, w, func() {
				w.until(10*time.Second, "the node is registered", w.registered)
				end(w, w.session())
				w.until(30*time.Second, "there is another link", func() bool { return w.links() == 2 })
				before := w.heard(leases)
				w.until(30*time.Second, "leases are renewed", func() bool { return w.heard(leases) > before })
				if log := w.log(); !strings.Contains(log, "Link has ended") {
					t.Error(log)
				}
			})
		})
	}
}

func TestRefusal(t *testing.T) {
	w := &world{refusal: "device 1234 waits for approval: kubectl pico approve 1234"}
	in(t, w, func() {
		w.until(10*time.Second, "the refusal is logged", func() bool {
			return strings.Contains(w.log(), `Link cannot be made`) && strings.Contains(w.log(), w.refuses())
		})
		begin, tries := time.Now(), w.tries()
		time.Sleep(10 * time.Minute)
		if n := w.tries() - tries; n < 20 || n > int(time.Since(begin)/(lastPause/2)) {
			t.Errorf("%d handshakes in 10 minutes", n)
		}
		w.mu.Lock()
		w.refusal = ""
		w.mu.Unlock()
		w.until(lastPause+8*time.Second, "the node is registered", w.registered)
	})
}

// leases is how renewals begin.
const leases = "PATCH /apis/coordination.k8s.io"

const lastPause = 16 * time.Second

func TestWrongGatewayKey(t *testing.T) {
	w := &world{change: func(c *linked.Config) { c.GatewayKey = newKey().Public }}
	in(t, w, func() {
		w.until(10*time.Second, "it is logged", func() bool {
			return strings.Contains(w.log(), noise.ErrHandshakeCut.Error())
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		if !errors.Is(w.errs[0], noise.ErrHandshake) {
			t.Errorf("gateway: %v", w.errs[0])
		}
	})
}

// Without a peer that shakes hands the board goes on trying, not too often.
func TestSilentPeer(t *testing.T) {
	w := &world{}
	w.wrap = func(d link.Dialer) link.Dialer { return silent{d} }
	in(t, w, func() {
		w.until(30*time.Second, "it is logged", func() bool {
			return strings.Contains(w.log(), noise.ErrHandshakeTimeout.Error())
		})
		time.Sleep(5 * time.Minute)
		if n := w.tries(); n < 10 || n > 40 {
			t.Errorf("%d tries", n)
		}
	})
}

// silent makes connections that bring nothing.
type silent struct{ link.Dialer }

func (d silent) Dial(ctx context.Context) (net.Conn, error) {
	c, err := d.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return mute{c}, nil
}

type mute struct{ net.Conn }

func (m mute) Write(p []byte) (int, error) { return len(p), nil }

// A command that reboots the board is answered first, and the gateway is told.
func TestResetIsToldToTheGateway(t *testing.T) {
	w := &world{}
	in(t, w, func() {
		w.until(10*time.Second, "the node is registered", w.registered)
		s := w.session()
		c, err := s.Dial(w.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST /pico/command HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"command\":\"reboot\"}")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%v, %v", resp, err)
		}
		<-s.Done()
		if err := s.Err(); !errors.Is(err, noise.ErrEnded) || !strings.Contains(err.Error(), noise.EndShutdown.String()) {
			t.Errorf("gateway: %v", err)
		}
		w.until(10*time.Second, "the node is back", w.registered)
	})
}
