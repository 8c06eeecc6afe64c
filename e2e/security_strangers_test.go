// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// askedFor lists what gateways asked of the API server under a node's identity.
func (p *plane) askedFor(t *testing.T, node string) (seen []string) {
	t.Helper()
	eventually(t, 10*time.Second, func(context.Context) error {
		all, err := p.auditedOf(gatewayAccount)
		seen = seen[:0]
		for _, e := range all {
			if e.ImpersonatedUser != nil && e.ImpersonatedUser.Username == "system:node:"+node {
				seen = append(seen, e.String())
			}
		}
		return err
	})
	return seen
}

// TestStrangersAreNobody: a key that no Device lets in, or that is another's, is
// no node: nothing is asked of the API server under the name that its board
// wishes. The audit log is the witness.
func TestStrangersAreNobody(t *testing.T) {
	t.Parallel()
	p := fullPlane(t)
	r := startReplica(t, p)
	var (
		stranger, denied = unique("stranger"), unique("denied")
		thief, owner     = unique("thief"), unique("owner") // who is approved, and never there
		_, ownersKey     = newLinkKey(t)
	)
	r.device(t, ownersKey.Public, owner, ptr.To(true))
	for _, tt := range []struct {
		name     string
		node     string // of its Device; empty: it has none
		approved bool
		says     string // which node its board wishes to be
		told     string
	}{
		{"no Device", "", false, stranger, "waits for approval as node " + stranger},
		{"a Device that is denied", denied, false, denied, "was denied"},
		{"another's node", thief, true, owner, "is node " + thief + ", the board is " + owner},
	} {
		_, key := newLinkKey(t)
		if tt.node != "" {
			r.device(t, key.Public, tt.node, &tt.approved)
		}
		for range 2 {
			s, err := r.dial(t, key, tt.says)
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, noise.ErrRefused) || !strings.Contains(err.Error(), tt.told) {
				t.Errorf("%s: the board is told %v, want %q", tt.name, err, tt.told)
			}
		}
	}
	r.board(t)                                                          // what it asks is in the audit log after all that
	looked := "get /api/v1/nodes/" + owner + " as system:node:" + owner // once there is an approved Device
	for _, node := range []string{stranger, denied, owner} {
		for _, seen := range p.askedFor(t, node) {
			if seen != looked {
				t.Errorf("the API server was asked to %s", seen)
			}
		}
	}
}

// TestHostileLinkNeverReachesTheAPIServer: what a board with a good key may not do
// is refused, whatever way it is put. The audit log is the witness.
func TestHostileLinkNeverReachesTheAPIServer(t *testing.T) {
	t.Parallel()
	p := fullPlane(t)
	r := startReplica(t, p)
	const board = "hostile" // as hostileNames has it
	unnamed := "/api/v1/namespaces/kube-system/configmaps/" + unique("unnamed")
	_, key := newLinkKey(t)
	r.device(t, key.Public, board, ptr.To(true))
	link, err := r.dial(t, key, board)
	must(t, err)
	t.Cleanup(func() { _ = link.Close() })

	harmless := hostileNames.Replace(headed("GET "+ownPath, "Connection: close"))
	if codes := sendOver(t, link, harmless); !slices.Equal(codes, []int{http.StatusNotFound}) {
		t.Fatalf("reading the own node, which is not there: %d", codes)
	}
	waitLog(t, r.log, 30*time.Second, `msg="Serving certificate issued" node=`+board) // which the gateway asks for
	before := len(p.askedFor(t, board))
	pace := time.NewTicker(200 * time.Millisecond) // two requests each: within the budget of 10 a second
	defer pace.Stop()
	for _, h := range append(hostileRequests, hostile{"reads a ConfigMap that its Device does not name", headed("GET " + unnamed)}) {
		<-pace.C
		codes := sendOver(t, link, hostileNames.Replace(h.raw)+harmless)
		if codes[0] != http.StatusBadRequest && codes[0] != http.StatusForbidden {
			t.Errorf("a board that %s gets %d, want 400 or 403", h.name, codes)
		}
		for _, code := range codes[1:] {
			if code < http.StatusBadRequest {
				t.Errorf("a board that %s gets a second answer: %d", h.name, codes)
			}
		}
	}
	if codes := sendOver(t, link, hostileNames.Replace(headed("GET /api/v1/pods?fieldSelector=spec.nodeName%3DOWN", "Connection: close"))); !slices.Equal(codes, []int{http.StatusOK}) {
		t.Fatalf("listing the own pods: %d", codes)
	}
	const last = "list /api/v1/pods?fieldSelector=spec.nodeName%3Dhostile as system:node:hostile"
	p.waitAudited(t, gatewayAccount, last)
	for _, seen := range p.askedFor(t, board)[before:] {
		if seen != last && seen != "get /api/v1/nodes/hostile as system:node:hostile" {
			t.Errorf("the API server saw %q", seen)
		}
	}
	asked, err := p.auditedOf(gatewayAccount)
	must(t, err)
	for _, e := range asked {
		if strings.Contains(e.RequestURI, path.Base(unnamed)) {
			t.Errorf("the API server was asked for a ConfigMap that the Device does not name: %s", &e)
		}
	}
	if seen := p.askedFor(t, "bystander"); len(seen) > 0 {
		t.Errorf("the API server was asked as another node: %q", seen)
	}
}

// sendOver writes raw bytes on a new stream of a link, and returns the status codes
// of all answers.
func sendOver(t *testing.T, link *session.Session, raw string) (codes []int) {
	t.Helper()
	c, err := link.Dial(t.Context())
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(15*time.Second)))
	go func() { _, _ = io.WriteString(c, raw) }() // the gateway may hang up before it is through
	r := bufio.NewReader(c)
	for {
		code, err := readAnswer(r)
		switch {
		case err == nil:
			codes = append(codes, code)
		case len(codes) == 0 || errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("%d answers to %q, then %v", len(codes), raw, err)
		default:
			return codes
		}
	}
}
