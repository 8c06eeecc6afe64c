// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// withConfigMaps is an Admission whose Devices name ConfigMaps.
type withConfigMaps struct {
	Admission
	named []ConfigMapName
}

func (a withConfigMaps) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	admitted, err := a.Admission.Admit(ctx, n)
	admitted.Device, admitted.ConfigMaps = "0123456789abcdef", a.named
	return admitted, err
}

// listsOf counts what was asked for ConfigMaps.
func (f *fakeAPI) listsOf() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if strings.Contains(r.uri, "/configmaps") {
			n++
		}
	}
	return n
}

// TestDeviceNamesConfigMaps: a board reads those that its Device names; others cost
// no request upstream, and few lines.
func TestDeviceNamesConfigMaps(t *testing.T) {
	for name, named := range map[string][]ConfigMapName{
		"one": {{"default", "pico-config"}}, "none": {}, "another namespace": {{"plant", "pico-config"}},
	} {
		t.Run(name, func(t *testing.T) {
			inLinks(t, func(t *testing.T, h *linkHarness) {
				h.unlimited()
				h.api.put("pico-config", "1")
				s := mustOpen(t, h, 1)
				c := linkClient(s)
				reads, want := name == "one", http.StatusForbidden
				if reads {
					want = http.StatusOK
				}
				for _, target := range []string{oneMap, listMap} {
					if r := ask(t, c, "GET", target, ""); r.code != want {
						t.Errorf("%s: %d %s", target, r.code, r.body)
					}
				}
				synctest.Wait()
				before := h.api.listsOf()
				for i := range 500 {
					target := fmt.Sprintf("%s/secret-%d", configMaps, i)
					if i%2 > 0 {
						target = fmt.Sprintf("%s?watch=1&fieldSelector=metadata.name%%3Dsecret-%d", configMaps, i)
					}
					if r := ask(t, c, "GET", target, ""); r.code != http.StatusForbidden {
						t.Fatalf("%s: %d %s", target, r.code, r.body)
					}
				}
				if n := h.api.listsOf(); n != before || !reads && n != 0 {
					t.Errorf("%d requests upstream, %d before", n, before)
				}
				if n := strings.Count(h.log.String(), "level=WARN"); n > 10 {
					t.Errorf("%d warnings", n)
				}
				r := ask(t, c, "GET", configMaps+"/other", "")
				if m := r.message(t); reads && !strings.Contains(m, `kubectl patch device 0123456789abcdef --type merge -p '{"spec":{"configMaps":[{"namespace":"default","name":"pico-config"},{"namespace":"default","name":"other"}]}}'`) {
					t.Error(m)
				}
				_ = s.Close()
			}, func(c *LinkConfig) { c.Admission = withConfigMaps{c.Admission, named} })
		})
	}
}

// TestDenialsAreRemembered: a ConfigMap that the gateway may not read costs one list
// in a while, and 500 of them cost few lines.
func TestDenialsAreRemembered(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.unlimited()
		h.api.set(func() { h.api.forbid = true })
		for round := range 3 {
			for i := range 500 {
				if r := h.get(t, "pico-1", fmt.Sprintf("%s/m-%d", configMaps, i)); r.code != http.StatusForbidden {
					t.Fatalf("round %d: %d %s", round, r.code, r.body)
				}
			}
		}
		if n := h.api.listsOf(); n != 500 {
			t.Errorf("%d lists", n)
		}
		if n := strings.Count(h.log.String(), "level=WARN"); n > 40 {
			t.Errorf("%d warnings", n)
		}
		time.Sleep(denialMemory)
		h.api.set(func() { h.api.forbid = false })
		if r := h.get(t, "pico-1", configMaps+"/m-1"); r.code != http.StatusNotFound {
			t.Errorf("after the right was granted: %d %s", r.code, r.body)
		}
	})
}

// TestDenialsAreBounded.
func TestDenialsAreBounded(t *testing.T) {
	t.Parallel()
	d, now := make(denials), time.Now()
	for i := range 3 * maxDenials {
		d.add(feedKey{"default", fmt.Sprint(i)}, &refusal{}, now)
	}
	if len(d) != maxDenials {
		t.Errorf("%d are remembered", len(d))
	}
	d.add(feedKey{"default", "late"}, &refusal{}, now.Add(denialMemory))
	if d.of(feedKey{"default", "late"}, now.Add(denialMemory)) == nil {
		t.Error("the last one is not")
	}
}
