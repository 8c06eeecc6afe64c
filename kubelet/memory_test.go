// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strings"
	"testing"
	"time"
	"unsafe"
)

// steady answers what a registered kubelet asks, without allocating.
type steady struct {
	k      *Kubelet
	now    time.Duration
	status []byte
	lease  []byte
	buf    [1024]byte
}

func newSteady(t testing.TB, freq time.Duration) *steady {
	r := newRig(t, func(c *Config) { c.NodeStatusReportFrequency = freq; c.ConfigMaps = []ObjectName{} })
	r.ready()
	return &steady{
		k: r.k, now: r.now,
		status: r.response(200, "", createdNode),
		lease:  r.response(200, "", createdLease),
	}
}

// untilRequest lets time pass until a request waits, and tells its size.
func (s *steady) untilRequest(t testing.TB) int {
	for range 100 {
		if n := len(s.k.Pending(StreamAPI)); n > 0 {
			return n
		}
		s.now = max(s.now, s.k.Output().Wake)
		s.k.Tick(s.now)
	}
	t.Fatal("no request")
	return 0
}

// answer takes the request and answers it.
func (s *steady) answer() {
	p := s.k.Pending(StreamAPI)
	body := s.lease
	if !strings.Contains(unsafe.String(&p[0], len(p)), "/leases/") {
		body = s.status
	}
	s.k.Sent(s.now, StreamAPI, len(p))
	s.k.Receive(s.now, StreamAPI, body)
	s.k.Output()
}

func TestHeartbeatAllocatesNothing(t *testing.T) {
	s := newSteady(t, 10*time.Second)
	statuses, leases := 0, 0
	n := allocsPerRun(200, func() {
		for len(s.k.Pending(StreamAPI)) == 0 {
			s.now = max(s.now, s.k.Output().Wake)
			s.k.Tick(s.now)
		}
		if s.k.client.op == patchStatus {
			statuses++
		} else {
			leases++
		}
		s.answer()
	})
	if n != 0 {
		t.Errorf("%v allocations a heartbeat", n)
	}
	if statuses < 50 || leases < 50 {
		t.Errorf("only %d statuses and %d leases were seen", statuses, leases)
	}
}

func TestScrapeAllocatesNothing(t *testing.T) {
	s := newSteady(t, time.Minute)
	conn, ok := s.k.Accept(s.now)
	if !ok {
		t.Fatal("not accepted")
	}
	for _, path := range []string{"/metrics", "/metrics/resource", "/healthz", "/readyz?verbose=1", "/stats/summary",
		"/pods", "/spec", "/configz", "/logs", "/pico/status", "/pico/memory", "/pico/gpio"} {
		request := []byte("GET " + path + " HTTP/1.1\r\nHost: pico-1\r\n\r\n")
		bytes := 0
		n := allocsPerRun(20, func() {
			s.now += time.Second // within the rate limit
			bytes = 0
			s.k.Receive(s.now, conn, request)
			for p := s.k.Pending(conn); len(p) > 0; p = s.k.Pending(conn) {
				bytes += copy(s.buf[:], p)
				s.k.Sent(s.now, conn, len(p))
			}
		})
		if n != 0 || bytes < 50 {
			t.Errorf("%s: %v allocations for %d bytes", path, n, bytes)
		}
	}
}

// wireSizes plays the first minutes of a node's life behind a gateway and tells
// how many bytes the last request of each kind has on the wire, and how many the
// largest body.
func wireSizes(t testing.TB) (sizes, bodies map[operation]int) {
	r := newRig(t, nil)
	r.k.Opened(0, StreamAPI)
	sizes, bodies = map[operation]int{}, map[operation]int{}
	const short = "HTTP/1.1 204 No Content\r\nETag: \"9\"\r\n\r\n"
	answers := map[operation][]byte{
		getNode: r.response(404, "Connection: Picolet-Node\nPicolet-Node: pico-1", notFoundBody), createNode: r.response(201, "", createdNode),
		getLease: r.response(404, "", notFoundBody), createLease: r.response(201, "", createdLease),
		renewLease: []byte(short), patchStatus: []byte(short), createEvent: r.response(201, "", `{}`),
	}
	for r.now < 6*time.Minute {
		p := r.k.Pending(StreamAPI)
		if len(p) == 0 {
			r.now = max(r.now, r.k.Output().Wake)
			r.k.Tick(r.now)
			continue
		}
		op := r.k.client.op
		sizes[op] = len(p)
		bodies[op] = max(bodies[op], len(p)-strings.Index(string(p), "\r\n\r\n")-4)
		r.k.Sent(r.now, StreamAPI, len(p))
		r.k.Receive(r.now, StreamAPI, answers[op])
	}
	return sizes, bodies
}

func TestBytesOnTheWire(t *testing.T) {
	t.Parallel()
	sizes, bodies := wireSizes(t)
	for _, op := range []operation{getNode, createNode, getLease, createLease, renewLease, patchStatus, createEvent} {
		if sizes[op] == 0 {
			t.Errorf("%s was never asked", op)
		}
	}
	if bodies[createNode] >= 2000 || bodies[patchStatus] >= 2000 {
		t.Errorf("the Node has %d bytes, its status %d, want less than 2 KB", bodies[createNode], bodies[patchStatus])
	}
}

// BenchmarkWire reports the bytes of each request as sent, head and body.
func BenchmarkWire(b *testing.B) {
	for b.Loop() {
		sizes, bodies := wireSizes(b)
		b.ReportMetric(float64(sizes[createNode]), "registration-B")
		b.ReportMetric(float64(bodies[createNode]), "node-JSON-B")
		b.ReportMetric(float64(sizes[patchStatus]), "status-B")
		b.ReportMetric(float64(sizes[renewLease]), "lease-B")
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	s := newSteady(b, 5*time.Minute)
	size := s.untilRequest(b)
	b.ReportAllocs()
	b.ReportMetric(float64(size), "lease-B")
	for b.Loop() {
		s.untilRequest(b)
		s.answer()
	}
}

// A ConfigMap that changes is applied, told of and stored without the heap.
func TestConfigChangeAllocatesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.ready()
	r.open(StreamWatch)
	r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"5"},"items":[]}`)
	r.receive(StreamWatch, r.response(200, "Transfer-Encoding: chunked", ""), 0)
	var chunks [2][]byte
	for i := range chunks {
		event := `{"type":"MODIFIED","object":{"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"` + itoa(6+i) +
			`"},"data":{"led":"` + [2]string{"HIGH", "LOW"}[i] + `","memory_values":"0=` + itoa(i) + `,2000=1,x","pin_2":"PWM:` + itoa(i) + `","pin_22":"PWM:1","pin_77":"LOW","other":"x"}}}` + "\n"
		chunks[i] = []byte(hexLength(event) + "\r\n" + event + "\r\n")
	}
	i, applied := 0, r.k.configsApplied
	n := allocsPerRun(50, func() {
		r.k.storing.at = r.now // as after a quiet time
		r.k.Receive(r.now, StreamWatch, chunks[i%2])
		i++
	})
	if r.board.saves != i {
		t.Errorf("%d of %d changes were stored", r.board.saves, i)
	}
	if n != 0 {
		t.Errorf("%v allocations a change", n)
	}
	if got := r.k.configsApplied - applied; got != 51 {
		t.Errorf("%d changes were applied, want 51", got)
	}
}
