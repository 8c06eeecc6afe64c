// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// gate holds up what a replica writes into the status of some Devices, among that its
// decision on their boards.
type gate struct {
	next http.RoundTripper

	mu   sync.Mutex
	shut map[string]chan struct{} // by Device
	held map[string]int           // requests that wait
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	device, ok := strings.CutSuffix(r.URL.Path, "/status")
	device = device[strings.LastIndexByte(device, '/')+1:]
	g.mu.Lock()
	shut := g.shut[device]
	if ok && shut != nil {
		g.held[device]++
	}
	g.mu.Unlock()
	if ok && shut != nil {
		select {
		case <-shut:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return g.next.RoundTrip(r)
}

func (g *gate) close(boards []*rawBoard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range boards {
		g.shut[b.device], g.held[b.device] = make(chan struct{}), 0
	}
}

func (g *gate) open(boards []*rawBoard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range boards {
		close(g.shut[b.device])
		delete(g.shut, b.device)
	}
}

func (g *gate) holds(boards []*rawBoard) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range boards {
		if g.held[b.device] == 0 {
			return fmt.Errorf("board %s is not being decided on", b.name)
		}
	}
	return nil
}

// rawBoard is a board with a good key that sends what it likes.
type rawBoard struct {
	net.Conn
	name, device string
	key          noise.Key
	ended        chan struct{}
}

// approvedBoards makes n boards whose Devices are enrolled.
func (p *plane) approvedBoards(t *testing.T, n int) (all []*rawBoard) {
	t.Helper()
	for range n {
		private, err := noise.GenerateKey(rand.Reader)
		must(t, err)
		b := &rawBoard{name: unique("bad")}
		b.key, err = noise.NewKey(private)
		must(t, err)
		key := v1alpha1.Key(b.key.Public)
		b.device = key.Name()
		_, err = p.devices.Create(t.Context(), &v1alpha1.Device{
			ObjectMeta: metav1.ObjectMeta{Name: b.device},
			Spec:       v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: b.name, Approved: ptr.To(true)},
		}, metav1.CreateOptions{})
		must(t, err)
		all = append(all, b)
	}
	for _, b := range all {
		eventually(t, 30*time.Second, func() error {
			d, err := p.devices.Get(t.Context(), b.device, metav1.GetOptions{})
			if err == nil && !meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.Enrolled) {
				err = fmt.Errorf("%s is not enrolled", b.name)
			}
			return err
		})
	}
	return all
}

// dial opens a link without waiting for it.
func (b *rawBoard) dial(t *testing.T, r *process) {
	t.Helper()
	var err error
	b.Conn, err = net.Dial("tcp", r.addr)
	must(t, err)
	b.ended = make(chan struct{})
	go func() {
		defer close(b.ended)
		s, err := session.Dial(context.Background(), b.Conn, session.Board{
			Key: b.key, GatewayKey: r.key, Hello: noise.Hello{BoardID: b.name, NodeName: b.name, Version: "v1"},
		})
		if err == nil {
			<-s.Done()
			_ = s.Close()
		}
	}()
}

// value is that of a metric without labels.
func (r *process) value(t *testing.T, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(r.admin(t, "/metrics", http.StatusOK))
	if found == nil {
		t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(found[1], 64)
	must(t, err)
	return v
}

func (r *process) admin(t *testing.T, path string, code int) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.AdminHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != code {
		t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, code)
	}
	return w.Body.String()
}

// sendRaw sends bytes behind the Hello of each board, and waits until the gateway has read
// them.
func (r *process) sendRaw(t *testing.T, boards []*rawBoard, p []byte) {
	t.Helper()
	const metric = "picolet_gateway_link_received_bytes_total"
	before := r.value(t, metric)
	for _, b := range boards {
		_, err := b.Write(p)
		must(t, err)
	}
	eventually(t, 10*time.Second, func() error {
		if n := r.value(t, metric) - before; n < float64(len(boards)*len(p)) {
			return fmt.Errorf("the gateway has read %v bytes", n)
		}
		return nil
	})
}

// TestBadLinksTakeNoPlace: boards whose links end by the first frame behind their
// handshake, while others wait for a decision with bytes on top, keep no later board out.
func TestBadLinksTakeNoPlace(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := &gate{shut: make(map[string]chan struct{}), held: make(map[string]int)}
	r := p.start(t, func(c *Config) {
		c.Kubernetes = rest.CopyConfig(c.Kubernetes)
		c.Kubernetes.Wrap(func(next http.RoundTripper) http.RoundTripper { g.next = next; return g })
	})
	for range 3 {
		boards := p.approvedBoards(t, 2*runtime.GOMAXPROCS(0))
		bad, holders := boards[:len(boards)/2], boards[len(boards)/2:]
		g.close(boards)
		for _, b := range boards {
			b.dial(t, r)
		}
		eventually(t, 8*time.Second, func() error { return g.holds(boards) })
		r.sendRaw(t, holders, []byte{0})
		r.sendRaw(t, bad, append([]byte{0, 17}, make([]byte, 17)...))
		g.open(bad)
		eventually(t, 8*time.Second, func() error {
			if n := r.log.lines("Board connected", "node=bad-"); n%len(boards) != len(bad) {
				return fmt.Errorf("%d boards are connected", n)
			}
			return nil
		})
		g.open(holders)
		for _, b := range boards {
			_ = b.SetReadDeadline(time.Now()) // the holders' links need not last
			<-b.ended
		}
	}
	p.join(t, newBoard(t, r), `{"approved":true}`)
	r.admin(t, "/healthz", http.StatusOK)
}
