// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
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
	conns := map[board]*boardConn{first: {}, second: {}}
	hold := func(b board, opened bool) int {
		t.Helper()
		if _, _, r := c.hold("pico-1", b, conns[b], opened); r != nil {
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
	c.letGo("pico-1", conns[first])
	*now = now.Add(claimLifetime - 1)
	expect("just before the claim ends", hold(second, true), 409)
	expect("the first board comes back in time", hold(first, true), 200)
	c.letGo("pico-1", conns[first])
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
	if _, _, r := c.hold("pico-1", board{"e66", "10.0.0.1"}, &boardConn{}, true); r != nil {
		t.Fatal(r)
	}
	for i, wantLoud := range []bool{true, false, true} {
		_, loud, r := c.hold("pico-1", board{"e67", "10.0.0.2"}, &boardConn{}, true)
		wait := []int{60, 60, 1}[i]
		want := fmt.Sprintf(`node name "pico-1" is in use by board e66 at 10.0.0.1: if that board is off or was replaced, wait %d s; if it runs, give this board another name`, wait)
		if r == nil || r.message != want || r.retryAfter != wait || loud != wantLoud {
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
		c.visit(t, fmt.Sprint("n", i), b)
	}
	if _, _, r := c.hold("n3", b, &boardConn{}, true); r == nil || r.code != http.StatusServiceUnavailable || r.retryAfter == 0 {
		t.Errorf("fourth name: %v", r)
	}
	*now = now.Add(claimLifetime)
	for i := range 4 {
		if evicted, _, r := c.hold("n3", b, &boardConn{}, true); r != nil || (evicted != nil) != (i >= 2) {
			t.Fatalf("after the others ended: connection %d: %v, %v", i, evicted, r)
		}
	}
	if n := len(c.byNode["n3"].conns); n != 2 {
		t.Errorf("%d connections are held, want 2", n)
	}
	if len(c.byNode) != 1 || len(c.byID) != 1 || len(c.byID["b"]) != 1 {
		t.Errorf("ended claims are kept: %v %v", c.byNode, c.byID)
	}
}

// visit makes one request for node on a connection of its own.
func (c *claims) visit(t *testing.T, node string, b board) {
	t.Helper()
	conn := &boardConn{}
	if _, _, r := c.hold(node, b, conn, true); r != nil {
		t.Fatal(r)
	}
	c.letGo(node, conn)
}

// The newest connection wins over the one that has been silent longest, which is
// of the same node; what comes late on that is refused.
func TestSilentConnectionGivesWay(t *testing.T) {
	t.Parallel()
	c, _ := testClaims(10, 3)
	b := board{"b", "10.0.0.1"}
	other := &boardConn{}
	hold := func(conn *boardConn, opened bool) *boardConn {
		t.Helper()
		evicted, _, r := c.hold("n1", b, conn, opened)
		if r != nil {
			t.Fatal(r)
		}
		return evicted
	}
	if _, _, r := c.hold("n2", b, other, true); r != nil { // silent before all others, but another node's
		t.Fatal(r)
	}
	var conns [6]*boardConn
	for i := range conns {
		conns[i] = &boardConn{}
	}
	for _, conn := range conns[:3] {
		if evicted := hold(conn, true); evicted != nil {
			t.Error("a connection within the limit takes another's place")
		}
	}
	hold(conns[0], false)
	for i, silent := range []*boardConn{conns[1], conns[2], conns[0]} {
		if hold(conns[3+i], true) != silent {
			t.Errorf("connection %d did not take the place of the one that was silent longest", 3+i)
		}
	}
	if _, _, r := c.hold("n1", b, conns[1], false); r == nil || r.cause != "gone" {
		t.Errorf("a request on an evicted connection: %v", r)
	}
	for _, conn := range conns[:3] {
		c.letGo("n1", conn) // as its Close does
	}
	if got := c.byNode["n1"].conns; !slices.Equal(got, conns[3:]) {
		t.Errorf("%d connections are held, want the last three", len(got))
	}
	if got := c.byNode["n2"].conns; !slices.Equal(got, []*boardConn{other}) {
		t.Errorf("the other node has %d connections", len(got))
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
	c.visit(t, "n1", b)
	check("n1")
	c.visit(t, "n2", b)
	check("")
	*now = now.Add(claimLifetime)
	c.visit(t, "n1", board{"other", ""})
	check("") // n2 has ended too
	c.visit(t, "n2", b)
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

// A board whose power fails again and again leaves connections behind that nobody
// closes: its API stream and its watch. It must not be kept out by them, nor must
// they pile up.
func TestBoardThatLosesItsPower(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		bystander := h.watch(t, "pico-2", "")
		bystander.next("ADDED")
		const boots = 20
		var streams []*http.Client
		for boot := range boots {
			time.Sleep(time.Second)
			api := h.client(fmt.Sprintf("10.0.0.1:%d", boot))
			streams = append(streams, api)
			if r := ask(t, api, "GET", own, "", nodeHeader, "pico-1", boardHeader, "e66"); r.code != 200 {
				t.Fatalf("boot %d: %d %s", boot, r.code, r.body)
			}
			w := h.watch(t, "pico-1", "", boardHeader, "e66")
			if w.code != 200 {
				t.Fatalf("boot %d: the watch is answered by %d", boot, w.code)
			}
			w.next("ADDED")
			synctest.Wait()
			if n := h.connections.Load(); n > 3+8 {
				t.Errorf("boot %d: %d connections are open", boot, n)
			}
			if n := h.cache.watchers.Load(); n != 2 {
				t.Errorf("boot %d: %d watches are open, want that of each board", boot, n)
			}
		}
		h.api.put("pico-config", "2")
		bystander.next("MODIFIED")
		// The last boot's streams are whole, and the last but one's API stream too.
		for _, api := range streams[boots-2:] {
			if r := ask(t, api, "GET", own, "", nodeHeader, "pico-1", boardHeader, "e66"); r.code != 200 {
				t.Errorf("%d %s", r.code, r.body)
			}
		}
		for cause, want := range map[string]float64{"watch": boots - 1, "limit": boots - 6} {
			if got := testutil.ToFloat64(h.metrics.superseded.WithLabelValues(cause)); got != want {
				t.Errorf("%v connections were closed for %s, want %v", got, cause, want)
			}
		}
		if n := strings.Count(h.log.String(), `level=DEBUG msg="Closed a connection for a newer one of the same board"`); n != 2*boots-7 {
			t.Errorf("told %d times", n)
		}
		for _, api := range streams {
			api.CloseIdleConnections()
		}
	})
}

// A newer watch ends only an older one of the same ConfigMap by the same board.
func TestNewerWatchEndsTheOlder(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		first, other := h.watch(t, "pico-1", ""), h.watch(t, "pico-2", "")
		first.next("ADDED")
		other.next("ADDED")
		second := h.watch(t, "pico-1", "&resourceVersion=1")
		synctest.Wait()
		if _, err := first.events.ReadByte(); err == nil {
			t.Error("the older watch goes on")
		}
		h.api.put("pico-config", "2")
		second.next("MODIFIED")
		other.next("MODIFIED")
		second.cancel()
		synctest.Wait()
		third := h.watch(t, "pico-1", "")
		third.next("ADDED")
		h.api.put("pico-config", "3")
		third.next("MODIFIED")
	})
}
