// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// withRuntime tells seen of runtimes.
type withRuntime struct {
	Admission
	seen func(string)
}

func (w withRuntime) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	a, err := w.Admission.Admit(ctx, n)
	a.Runtime = w.seen
	return a, err
}

// TestMachineIsNotOverwritten: a status that holds nodeInfo does not reach a Node that a
// machine has registered since its board linked; from each other answer admission learns
// of the machine.
func TestMachineIsNotOverwritten(t *testing.T) {
	var seen atomic.Int32
	inLinks(t, func(t *testing.T, h *linkHarness) {
		h.api.set(func() {
			h.api.node = func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"kind":"Node","status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`)
			}
		})
		s := mustOpen(t, h, 1)
		c := linkClient(s)
		synctest.Wait()
		patches := len(h.api.told("PATCH", own+"/status")) // the gateway's own
		for body, code := range map[string]int{
			`{"status":{"nodeInfo":{"osImage":"x"}}}`: http.StatusForbidden,
			`{"status":{"conditions":[]}}`:            http.StatusOK,
		} {
			before := seen.Load()
			if r := ask(t, c, "PATCH", own+"/status", body, "Content-Type", strategicPatchType); r.code != code {
				t.Errorf("%s: %d %s, want %d", body, r.code, r.body, code)
			}
			if seen.Load() != before+1 {
				t.Errorf("%s: admission does not learn of the machine", body)
			}
		}
		if n := len(h.api.told("PATCH", own+"/status")) - patches; n != 1 {
			t.Errorf("%d statuses reached the API server", n)
		}
		c.CloseIdleConnections()
		_ = s.Close()
	}, func(c *LinkConfig) {
		c.Admission = withRuntime{c.Admission, func(string) { seen.Add(1) }}
	})
}

// TestRuntimeOfALinkedNode: what runs a linked node is told while the board renews
// its Lease, without one request more.
func TestRuntimeOfALinkedNode(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	inLinks(t, func(t *testing.T, h *linkHarness) {
		h.api.set(func() {
			h.api.node = func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"kind":"Node","status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`)
			}
		})
		s := mustOpen(t, h, 1)
		c := linkClient(s)
		for range 12 {
			if r := ask(t, c, "PATCH", ownLease, renewal, "Content-Type", mergePatchType); r.code != http.StatusOK {
				t.Errorf("%d %s", r.code, r.body)
			}
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if looks := len(h.api.told("GET", own+"?resourceVersion=0")); looks != 3 {
			t.Errorf("%d looks in two minutes", looks)
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(seen, []string{"containerd://2.1.0", "containerd://2.1.0", "containerd://2.1.0"}) {
			t.Errorf("told %q", seen)
		}
		c.CloseIdleConnections()
		_ = s.Close()
	}, func(c *LinkConfig) {
		c.Admission = withRuntime{c.Admission, func(version string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, version)
		}}
	})
}
