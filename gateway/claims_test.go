// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func testClaims(max, conns int) (*claims, *time.Time) {
	now := time.Unix(0, 0)
	c := newClaims(Config{MaxBoards: max, MaxConnectionsPerBoard: conns})
	c.now = func() time.Time { return now }
	return c, &now
}

func TestClaimLifetime(t *testing.T) {
	t.Parallel()
	c, now := testClaims(10, 8)
	first, second := board{"first", "10.0.0.1"}, board{"second", "10.0.0.2"}
	hold := func(b board, opened bool) int {
		t.Helper()
		if _, r := c.hold("pico-1", b, opened); r != nil {
			return r.code
		}
		return http.StatusOK
	}
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	expect("first board", hold(first, true), 200)
	expect("second board while the first is connected", hold(second, true), 409)
	*now = now.Add(time.Hour)
	expect("an hour later, still connected", hold(second, true), 409)
	expect("first board asks", hold(first, false), 200)
	c.letGo("pico-1")
	*now = now.Add(claimLifetime - 1)
	expect("just before the claim ends", hold(second, true), 409)
	expect("the first board comes back in time", hold(first, false), 200)
	*now = now.Add(claimLifetime)
	expect("the claim has ended", hold(second, true), 200)
	expect("the first board is the second now", hold(first, true), 409)
	if n := c.count(); n != 1 {
		t.Errorf("%d live claims, want 1", n)
	}
}

func TestClaimConflictSaysWho(t *testing.T) {
	t.Parallel()
	c, now := testClaims(10, 8)
	if _, r := c.hold("pico-1", board{"e66", "10.0.0.1"}, true); r != nil {
		t.Fatal(r)
	}
	for i, wantLoud := range []bool{true, false, true} {
		loud, r := c.hold("pico-1", board{"e67", "10.0.0.2"}, true)
		want := `node name "pico-1" is in use by board e66 at 10.0.0.1; give this board another name`
		if r == nil || r.message != want || loud != wantLoud {
			t.Errorf("refusal %d: loud %v, %v", i, loud, r)
		}
		if i == 1 {
			*now = now.Add(time.Minute)
		}
	}
}

func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	c, now := testClaims(3, 2)
	b := board{"b", "10.0.0.1"}
	for i := range 3 {
		if _, r := c.hold(fmt.Sprint("n", i), b, false); r != nil {
			t.Fatal(r)
		}
	}
	if _, r := c.hold("n3", b, false); r == nil || r.code != http.StatusServiceUnavailable || r.retryAfter == 0 {
		t.Errorf("fourth name: %v", r)
	}
	*now = now.Add(claimLifetime)
	for range 2 {
		if _, r := c.hold("n3", b, true); r != nil {
			t.Fatalf("after the others ended: %v", r)
		}
	}
	if _, r := c.hold("n3", b, true); r == nil || r.code != http.StatusTooManyRequests {
		t.Errorf("third connection: %v", r)
	}
	if len(c.byNode) != 1 || len(c.byID) != 1 || len(c.byID["b"]) != 1 {
		t.Errorf("ended claims are kept: %v %v", c.byNode, c.byID)
	}
}

func TestOnlyNodeOfABoard(t *testing.T) {
	t.Parallel()
	c, now := testClaims(10, 2)
	b := board{"10.0.0.1", "10.0.0.1"}
	check := func(want string) {
		t.Helper()
		if node, ok := c.only(b.id); node != want || ok != (want != "") {
			t.Errorf("only = %q, %v, want %q", node, ok, want)
		}
	}
	check("")
	_, _ = c.hold("n1", b, false)
	check("n1")
	_, _ = c.hold("n2", b, false)
	check("")
	*now = now.Add(claimLifetime)
	_, _ = c.hold("n1", board{"other", ""}, false)
	check("") // n2 has ended too
	_, _ = c.hold("n2", b, false)
	check("n2")
}

// TestTwoBoardsOfOneName is the same through the front door.
func TestTwoBoardsOfOneName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		synctest.Wait()
		first, second := h.client("10.0.0.1:1"), h.client("10.0.0.2:1")
		if r := ask(t, first, "GET", own, "", boardHeader, "e66"); r.code != 200 {
			t.Fatal(r)
		}
		for range 3 {
			r := ask(t, second, "GET", own, "", boardHeader, "e67")
			if r.code != http.StatusConflict || !strings.Contains(r.message(t), "is in use by board e66 at 10.0.0.1") {
				t.Errorf("second board: %d %s", r.code, r.body)
			}
			second.CloseIdleConnections()
		}
		if n := strings.Count(h.log.String(), `level=WARN msg="Refused a board's request"`); n != 1 {
			t.Errorf("the conflict is logged %d times, want once a minute:\n%s", n, h.log)
		}
		// The same board from another address, as after a new DHCP lease.
		if r := ask(t, h.client("10.0.0.9:1"), "GET", own, "", boardHeader, "e66"); r.code != 200 {
			t.Errorf("first board from another address: %d %s", r.code, r.body)
		}
		if n := len(h.api.asked()); n != 2 {
			t.Errorf("the API server saw %d requests, want those of the first board", n)
		}
		endBubble(t, h)
	})
}

// TestFirmwareWithoutHeaders: a board is its address, and its node the one it
// registered, also on a new connection for its ConfigMap.
func TestFirmwareWithoutHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		synctest.Wait()
		h.api.put("pico-config", "1")
		once := func(from, method, target, body string) reply {
			c := h.client(from)
			defer c.CloseIdleConnections()
			return ask(t, c, method, target, body)
		}
		const configMap = "/api/v1/namespaces/default/configmaps/pico-config"
		if r := once("10.0.0.1:1", "GET", configMap, ""); r.code != http.StatusForbidden || !strings.Contains(r.message(t), nodeHeader) {
			t.Errorf("before it registered: %d %s", r.code, r.body)
		}
		if r := once("10.0.0.1:2", "POST", "/api/v1/nodes", `{"metadata":{"name":"pico-1"}}`); r.code != 200 {
			t.Errorf("registration: %d %s", r.code, r.body)
		}
		if r := once("10.0.0.1:3", "GET", configMap, ""); r.code != 200 {
			t.Errorf("ConfigMap: %d %s", r.code, r.body)
		}
		if r := once("10.0.0.2:1", "PATCH", own+"/status", statusBody); r.code != http.StatusUnsupportedMediaType && r.code != http.StatusConflict {
			t.Errorf("another address: %d %s", r.code, r.body)
		}
		endBubble(t, h)
	})
}

func TestNodeNamePatterns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), func(c *Config) { c.NodeNames = []string{"pico-*", "lamp"} })
		synctest.Wait()
		for name, want := range map[string]int{"pico-1": 200, "lamp": 200, "control-plane-1": 403, "lamp2": 403} {
			if r := ask(t, h.client("10.0.0.1:1"), "GET", "/api/v1/nodes/"+name, ""); r.code != want {
				t.Errorf("%s: %d %s", name, r.code, r.body)
			}
		}
		endBubble(t, h)
	})
}
