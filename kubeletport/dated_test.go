// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// bootedBoard has a log that began before it knew the time of day.
func bootedBoard(t *testing.T, startTime string) *fakeBoard {
	return startBoard(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stats/summary" {
			_, _ = fmt.Fprintf(w, `{"node":{"nodeName":"pico-1","startTime":%s},"pods":[]}`, startTime)
			return
		}
		_, _ = io.WriteString(w, "1 +0.250s INFO msg=a\n2 +61.000s INFO msg=b\n3 2026-02-28T10:00:59.500000Z INFO msg=c\n")
	})
}

// TestLogsFromBeforeTheClock: once the board knows the time of day, its first lines
// have one too, of which none is later than the next.
func TestLogsFromBeforeTheClock(t *testing.T) {
	t.Parallel()
	const known = "2026-02-28T10:00:00.250000Z INFO msg=a\n2026-02-28T10:00:59.500000Z INFO msg=b\n2026-02-28T10:00:59.500000Z INFO msg=c\n"
	const unknown = "+0.250s INFO msg=a\n+61.000s INFO msg=b\n2026-02-28T10:00:59.500000Z INFO msg=c\n"
	for _, tt := range []struct {
		started, query, want string
		asks                 int // for the time of boot
	}{
		{`"2026-02-28T10:00:00Z"`, "?timestamps=true", known, 1},
		{`"2026-02-28T10:00:00Z"`, "?sinceTime=2026-02-28T10:00:30Z", "INFO msg=b\nINFO msg=c\n", 1},
		{`"2026-02-28T10:00:00Z"`, "", "INFO msg=a\nINFO msg=b\nINFO msg=c\n", 0},
		{`null`, "?timestamps=true", unknown, 1},
		{`"noon"`, "?timestamps=true", unknown, 1},
	} {
		b := bootedBoard(t, tt.started)
		h := startServer(t, b, nil)
		r := ask(t, h.client(t, h.admin(t)), http.MethodGet, "/containerLogs/kube-system/picolet-pico-1/firmware"+tt.query, "")
		if r.code != http.StatusOK || r.body != tt.want {
			t.Errorf("%s %s: %d\n%s\nwant\n%s", tt.started, tt.query, r.code, r.body, tt.want)
		}
		if asks := strings.Count(strings.Join(b.requests(), ""), "/stats/summary"); asks != tt.asks {
			t.Errorf("%s %s: asked %d times, want %d", tt.started, tt.query, asks, tt.asks)
		}
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)
	h := startServer(t, bootedBoard(t, `"2026-02-28T10:00:00Z"`), nil)
	if got, err := h.Started(t.Context(), node); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := h.Started(t.Context(), "other"); err == nil {
		t.Errorf("a node without a port: %v", got)
	}
	ill := startServer(t, startBoard(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), nil)
	if got, err := ill.Started(t.Context(), node); err == nil {
		t.Errorf("a board that is ill: %v", got)
	}
}

func TestSetPod(t *testing.T) {
	t.Parallel()
	h := startServer(t, bootedBoard(t, "null"), nil)
	client := h.client(t, h.admin(t))
	pods := func() string { return ask(t, client, http.MethodGet, "/pods", "").body }
	if text := pods(); !strings.Contains(text, "firmware:v1") || strings.Contains(text, "startedAt\":\"2026") {
		t.Error(text)
	}
	pod := staticpod.New(staticpod.Options{Node: node, Version: "v2", Started: time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)})
	h.SetPod("other", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "none"}})
	h.SetPod(node, pod)
	if text := pods(); !strings.Contains(text, "firmware:v2") || !strings.Contains(text, `startedAt":"2026-02-28T10:00:00Z"`) {
		t.Error(text)
	}
	_, err := h.Add(Node{Name: node, Version: "v3"}) // the board came anew
	must(t, err)
	if text := pods(); !strings.Contains(text, "firmware:v3") {
		t.Error(text)
	}
}

// TestPortOutOfRangeIsNotTaken: a board says 10250 of itself until a gateway has
// its port.
func TestPortOutOfRangeIsNotTaken(t *testing.T) {
	t.Parallel()
	first := freeRange(t, 3)
	h := newHarness(t, bootedBoard(t, "null"), withRange(first, first+1))
	t.Cleanup(h.close)
	if port, err := h.Add(Node{Name: node, Port: first + 2}); err != nil || port > first+1 {
		t.Errorf("port %d, %v", port, err)
	}
}

// TestCertificatesOutliveAdd: a board that comes back needs no new certificate.
func TestCertificatesOutliveAdd(t *testing.T) {
	t.Parallel()
	stores := newMemoryStores()
	if stores("a") != stores("a") || stores("a") == stores("b") {
		t.Error("not one store a node")
	}
}
