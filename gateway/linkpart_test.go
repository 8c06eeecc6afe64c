// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// withPart is an Admission that adds a part.
type withPart struct {
	Admission
	part NodePart
}

func (a withPart) Admit(ctx context.Context, n Newcomer) (Admitted, error) {
	admitted, err := a.Admission.Admit(ctx, n)
	admitted.Part = a.part
	return admitted, err
}

func addPart(part NodePart) func(*LinkConfig) {
	return func(c *LinkConfig) { c.Admission = withPart{c.Admission, part} }
}

// told are the requests for a target.
func (f *fakeAPI) told(method, target string) (out []recorded) {
	for _, r := range f.asked() {
		if r.method == method && r.uri == target {
			out = append(out, r)
		}
	}
	return out
}

// toldStatus is testPart's in a status.
const toldStatus = `"addresses":[{"type":"InternalIP","address":"192.0.2.10"},{"type":"Hostname","address":"pico-1"},{"$patch":"replace"}],` +
	`"daemonEndpoints":{"kubeletEndpoint":{"Port":20001}},"declaredFeatures":["ExtendWebSocketsToKubelet"]`

// TestPartIsToldWhenALinkIsUp: the API server learns of a Node's kubelet port
// without a word of its board.
func TestPartIsToldWhenALinkIsUp(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		time.Sleep(time.Hour)
		status, labels := h.api.told("PATCH", own+"/status"), h.api.told("PATCH", own)
		if len(status) != 1 || len(labels) != 1 || len(h.api.asked()) != 2 {
			t.Fatalf("asked %+v", h.api.asked())
		}
		for r, want := range map[*recorded]string{
			&status[0]: `{"metadata":{"labels":{"topology.kubernetes.io/zone":"attic",` + excluded + `}},"status":{"capacity":{"pods":"3"},"allocatable":{"pods":"3"},` + toldStatus + `}}`,
			&labels[0]: `{"metadata":{"labels":{"a":"gateway","topology.kubernetes.io/zone":"attic"}}}`,
		} {
			if !sameJSON(t, r.body, want) || r.header.Get("Content-Type") != strategicPatchType || r.header.Get("Impersonate-User") != nodeUserPrefix+"pico-1" {
				t.Errorf("%s %s %v, want %s", r.uri, r.body, r.header, want)
			}
		}
		_ = s.Close()
	}, addPart(testPart))
}

// TestPartInRequestsOfALink: what a board sends about its Node has the part in it;
// the same over a connection without one has not.
func TestPartInRequestsOfALink(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		c := linkClient(s)
		if r := ask(t, c, "PATCH", own+"/status", statusBody, "Content-Type", mergePatchType); r.code != http.StatusOK {
			t.Errorf("%d %s", r.code, r.body)
		}
		told := h.api.told("PATCH", own+"/status")
		if len(told) != 2 || !sameJSON(t, told[1].body, `{"status":{`+toldStatus+`}}`) {
			t.Errorf("told %+v", told)
		}
		c.CloseIdleConnections()
		_ = s.Close()
		time.Sleep(time.Minute)
		plain := h.client("10.0.0.1:1")
		if r := ask(t, plain, "PATCH", own+"/status", statusBody, "Content-Type", mergePatchType); r.code != http.StatusOK {
			t.Errorf("%d %s", r.code, r.body)
		}
		if told := h.api.told("PATCH", own+"/status"); len(told) != 3 || !sameJSON(t, told[2].body, emptyStatus("10.0.0.1")) {
			t.Errorf("told %+v", told)
		}
		plain.CloseIdleConnections()
	}, addPart(testPart))
}

// TestPartIsTriedOn: until the API server takes it, or says that there is no such
// Node; one line of log, and nothing after the link's end.
func TestPartIsTriedOn(t *testing.T) {
	for name, tt := range map[string]struct {
		codes         []int // of the answers to status; the last stays
		status, lines int
	}{
		"no such Node":   {[]int{404}, 1, 0},
		"slow down":      {[]int{429, 500, 200}, 3, 1},
		"refused always": {[]int{403}, 13, 1},
	} {
		t.Run(name, func(t *testing.T) {
			answers := 0
			node := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == own+"/status" {
					w.WriteHeader(tt.codes[min(answers, len(tt.codes)-1)])
					answers++
				}
				_, _ = io.WriteString(w, "{}")
			}
			inLinks(t, func(t *testing.T, h *linkHarness) {
				h.api.set(func() { h.api.node = node })
				s := mustOpen(t, h, 1)
				time.Sleep(8 * time.Minute)
				synctest.Wait()
				if n := len(h.api.told("PATCH", own+"/status")); n < tt.status-1 || n > tt.status+1 || tt.status < 10 && n != tt.status {
					t.Errorf("status told %d times, want %d", n, tt.status)
				}
				if n := len(h.api.told("PATCH", own)); n != 1 {
					t.Errorf("labels told %d times", n)
				}
				if n := strings.Count(h.log.String(), "trying on"); n != tt.lines {
					t.Errorf("%d lines of log, want %d:\n%s", n, tt.lines, h.log)
				}
				_ = s.Close()
				time.Sleep(time.Minute)
				before := len(h.api.asked())
				time.Sleep(10 * time.Minute)
				if after := len(h.api.asked()); after != before {
					t.Errorf("%d requests after the link's end", after-before)
				}
			}, addPart(testPart))
		})
	}
}

// TestPartWaitsForTheAPIServer: while it is down there is nothing to say.
func TestPartWaitsForTheAPIServer(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		h.api.set(func() { h.api.down = true })
		s := mustOpen(t, h, 1)
		time.Sleep(3 * time.Minute)
		h.api.set(func() { h.api.down = false; h.api.requests = nil })
		time.Sleep(2 * time.Minute)
		if n := len(h.api.told("PATCH", own+"/status")); n != 1 {
			t.Errorf("status told %d times after the outage", n)
		}
		_ = s.Close()
	}, addPart(testPart))
}

// TestPartTakesItsTurn: of links that come up together, one after the other has its part
// told; one that ends before its turn does not.
func TestPartTakesItsTurn(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		h.Gateway.config.Turns = rate.NewLimiter(rate.Every(time.Minute), 1)
		first, second := mustOpen(t, h, 1), mustOpen(t, h, 2)
		told := func() int { return len(h.api.asked()) }
		if n := told(); n != 2 {
			t.Errorf("%d requests for the first link", n)
		}
		time.Sleep(59 * time.Second)
		if n := told(); n != 2 {
			t.Errorf("%d requests before the second link's turn", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := told(); n != 4 {
			t.Errorf("%d requests after it", n)
		}
		_ = first.Close()
		synctest.Wait()
		first = mustOpen(t, h, 1)
		_ = first.Close()
		time.Sleep(time.Hour)
		if n := told(); n != 4 {
			t.Errorf("%d requests, with those for a link that has ended", n)
		}
		_ = second.Close()
	}, addPart(testPart))
}
