// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
)

// The image as it is, while somebody is hostile: its node stays Ready.
func TestPicoWStandsHostility(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	for _, tt := range []struct {
		name   string
		attack func(*testing.T, *picoW)
	}{
		{"garbage on its port", throwGarbage},
		{"200 connections at once", openManyConnections},
		{"a broadcast storm", storm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := readyPico(t, p, picoOptions{})
			before := condition(b.mustNode(t), corev1.NodeReady)
			tt.attack(t, b)
			b.waitRenewed(t, b.waitLease(t))
			after := condition(b.mustNode(t), corev1.NodeReady)
			if after.Status != corev1.ConditionTrue || !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
				t.Errorf("the node is %v, was %v", after, before)
			}
			eventually(t, 30*time.Second, func(ctx context.Context) error {
				_, err := b.get(ctx, "/readyz")
				return err
			})
			b.noReboot(t)
			b.checkDriver(t)
			b.checkStack(t)
		})
	}
}

// minStackUnused is the part of its stack that a board must never have used, in bytes.
const minStackUnused = 1 << 10

func (b *picoW) checkStack(t *testing.T) {
	t.Helper()
	m := b.metrics(t)
	unused := m["picolet_stack_unused_bytes"]
	t.Logf("%.0f bytes of stack were never used; the heap has grown to %.0f bytes", unused, m["picolet_heap_peak_bytes"])
	if unused < minStackUnused {
		t.Errorf("%.0f bytes of stack were never used, want at least %d", unused, minStackUnused)
	}
}

// throwGarbage says to the kubelet port what no client says.
func throwGarbage(t *testing.T, b *picoW) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		noise := make([]byte, 1+random.IntN(6000))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		garbage := []string{
			string(noise),
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
			"GET /" + strings.Repeat("%00", round*100) + " HTTP/1.1\r\n\r\n",
			"POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
			"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" + string(noise),
			strings.Repeat("A", 8000),
		}[round%6]
		c := b.dialPort(t)
		_, _ = c.Write([]byte(garbage)) // the board may hang up in the middle
		_ = c.Close()
	}
}

// openManyConnections opens more connections than the kubelet port takes.
func openManyConnections(t *testing.T, b *picoW) {
	var all sync.WaitGroup
	answered := make(chan bool, 200)
	for range cap(answered) {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := b.get(ctx, "/healthz")
			answered <- err == nil
		})
	}
	all.Wait()
	close(answered)
	count := 0
	for ok := range answered {
		if ok {
			count++
		}
	}
	t.Logf("%d of %d clients were answered with 200", count, cap(answered))
	if count == 0 {
		t.Error("no client was answered")
	}
}

// bystander is a station that hears nothing.
type bystander struct{}

var _ segment.Station = bystander{}

func (bystander) Receive([]byte) {}
func (bystander) Owes(bool)      {}

// storm fills the air with broadcasts for 1 s: the access point sends some 8 000 a
// second, and the board's streams outlast it.
func storm(t *testing.T, b *picoW) {
	const lasts, atOnce = time.Second, 100
	port := b.segment.Attach(bystander{})
	defer port.Detach()
	said := len(b.Console().Text())
	before, err := b.Stats(t.Context())
	must(t, err)
	for end := b.State().Now + lasts; b.State().Now < end; {
		for i := range atOnce {
			port.Send(broadcasts[i%len(broadcasts)])
		}
		must(t, b.Sleep(t.Context(), 10*time.Millisecond))
	}
	after, err := b.Stats(t.Context())
	must(t, err)
	t.Logf("the board has read %d frames in %v", after.Wifi.FramesReceived-before.Wifi.FramesReceived, after.Now-before.Now)
	for _, trouble := range []string{"Wi-Fi lost", "Stream to the API server ended", "does not answer"} {
		if text := b.Console().Text()[said:]; strings.Contains(text, trouble) {
			t.Errorf("the console says %q:\n%s", trouble, text)
		}
	}
}

// broadcasts are what a storm is made of: ARP for somebody else, and a protocol that
// nobody knows.
var broadcasts = func() [][]byte {
	to := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x66}
	arp := append(slices.Clone(to), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x66, 10, 42, 0, 66, 0, 0, 0, 0, 0, 0, 10, 42, 0, 67)
	unknown := append(append(slices.Clone(to), 0x88, 0xb5), make([]byte, 50)...)
	return [][]byte{arp, unknown}
}()

// The API server's first answer of each kind is a megabyte.
func TestPicoWStandsLargeAnswers(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("pico-large")
	proxy := padAnswers(t, sharedGateway(t).addr)
	b := readyPico(t, p, picoOptions{gateway: proxy.Listener.Addr().String(), settings: p.readsPicoConfig(t, name)})
	before := condition(b.mustNode(t), corev1.NodeReady)
	eventually(t, time.Minute, func(ctx context.Context) error { // a megabyte takes the board a second, and the emulator several
		_, err := b.lease(ctx)
		return err
	})
	b.waitRenewals(t, 2)
	p.setConfig(t, name, data{"pin_15": "HIGH"})
	b.waitOutputs(t, false, emulator.High)
	if after := condition(b.mustNode(t), corev1.NodeReady); after.Status != corev1.ConditionTrue || !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("the node is %v, was %v", after, before)
	}
	b.noReboot(t)
	b.checkDriver(t)
}

// padAnswers is a proxy before the gateway that makes JSON objects a megabyte larger:
// the first answer to each method and path. A megabyte takes the board a second and the
// emulator, segment by segment, up to half a minute: were all large, the node's leases
// would run out by the host's clock.
func padAnswers(t *testing.T, gateway string) *httptest.Server {
	padding := `{"padding":"` + strings.Repeat("x", 1_000_000) + `",`
	var mu sync.Mutex
	padded := map[string]bool{}
	isDue := func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		was := padded[r.Method+r.URL.Path]
		padded[r.Method+r.URL.Path] = true
		return !was
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", gateway },
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			// The gateway has bound the proxy's connection, not the board's.
			r.Header.Del("Picolet-Node")
			if r.ContentLength < 2 || r.Body == nil || !isDue(r.Request) { // not an object, or a watch
				return nil
			}
			if _, err := io.CopyN(io.Discard, r.Body, 1); err != nil { // its first brace
				return err
			}
			body := r.Body
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(padding), body), body}
			r.ContentLength += int64(len(padding)) - 1
			r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // of requests that the test's end cuts
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s
}
