// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	configMaps = "/api/v1/namespaces/default/configmaps"
	oneMap     = configMaps + "/pico-config"
	listMap    = configMaps + "?fieldSelector=metadata.name%3Dpico-config"
)

// inCluster runs a test with a gateway in a bubble.
func inCluster(t *testing.T, test func(t *testing.T, h *harness), change ...func(*Config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI(), change...)
		test(t, h)
		endBubble(t, h)
	})
}

// boardClient is the client of one board, which names itself.
func (h *harness) get(t *testing.T, node, target string) reply {
	t.Helper()
	c := h.client("10.0.0.1:1")
	defer c.CloseIdleConnections()
	return ask(t, c, "GET", target, "", nodeHeader, node)
}

// A watcher is a board's watch.
type watcher struct {
	t      *testing.T
	code   int
	events *bufio.Reader
	cancel context.CancelFunc
}

func (h *harness) watch(t *testing.T, node, params string, headers ...string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://gateway"+listMap+"&watch=1"+params, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(nodeHeader, node)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.client("10.0.0.1:1").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	h.cancels = append(h.cancels, cancel)
	return &watcher{t, resp.StatusCode, bufio.NewReader(resp.Body), cancel}
}

type event struct {
	Type   string
	Object struct {
		Kind     string
		Metadata metav1.ObjectMeta
		Data     map[string]string
		Code     int
		Reason   string
	}
}

// next reads the next event, which must be of the given type.
func (w *watcher) next(want string) event {
	w.t.Helper()
	var e event
	line, err := w.events.ReadBytes('\n')
	if err != nil {
		w.t.Fatalf("want %s: %v", want, err)
	}
	if err := json.Unmarshal(line, &e); err != nil || e.Type != want {
		w.t.Fatalf("event %s, want %s (%v)", line, want, err)
	}
	return e
}

// quiet makes sure that the watch is open and has nothing to say: it is read
// until the board gives up.
func (w *watcher) quiet() {
	w.t.Helper()
	synctest.Wait()
	w.cancel()
	if line, err := w.events.ReadString('\n'); line != "" || err == io.EOF {
		w.t.Errorf("unexpected event %q (%v)", line, err)
	}
}

func (w *watcher) ends() {
	w.t.Helper()
	if line, err := w.events.ReadString('\n'); err != io.EOF {
		w.t.Errorf("the watch goes on: %q, %v", line, err)
	}
	w.cancel()
}

func TestConfigMapGetAndList(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		if r := h.get(t, "n", oneMap); r.code != 404 || !strings.Contains(r.message(t), "not found") {
			t.Errorf("get of nothing: %d %s", r.code, r.body)
		}
		if r := h.get(t, "n", listMap); r.code != 200 || r.body != `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"100"},"items":[]}` {
			t.Errorf("list of nothing: %d %s", r.code, r.body)
		}
		rv := h.api.put("pico-config", "1")
		synctest.Wait()
		r := h.get(t, "n", oneMap)
		var cm corev1.ConfigMap
		if err := json.Unmarshal([]byte(r.body), &cm); err != nil || r.code != 200 {
			t.Fatalf("get: %d %s", r.code, r.body)
		}
		if cm.Kind != "ConfigMap" || cm.APIVersion != "v1" || cm.Data["key"] != "1" || cm.ResourceVersion != rv || cm.ManagedFields != nil ||
			len(cm.Annotations) != 1 || cm.Annotations["kept"] != "yes" || strings.Contains(r.body, "\n") {
			t.Errorf("get: %s", r.body)
		}
		var list corev1.ConfigMapList
		r = h.get(t, "n", listMap)
		if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Items) != 1 || list.Items[0].Data["key"] != "1" || list.ResourceVersion != rv {
			t.Errorf("list: %d %s", r.code, r.body)
		}
		if r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) || r.header.Get("Content-Type") != jsonType || r.header.Get("Date") == "" {
			t.Errorf("head of the list: %v", r.header)
		}
	})
}

func TestConfigMapWatch(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		w := h.watch(t, "n", "")
		first := h.api.put("pico-config", "1")
		if e := w.next("ADDED"); e.Object.Data["key"] != "1" || e.Object.Metadata.ResourceVersion != first {
			t.Errorf("%+v", e)
		}
		second := h.api.put("pico-config", "2")
		if e := w.next("MODIFIED"); e.Object.Data["key"] != "2" || e.Object.Metadata.ResourceVersion != second {
			t.Errorf("%+v", e)
		}
		gone := h.api.remove("pico-config")
		if e := w.next("DELETED"); e.Object.Data["key"] != "2" || e.Object.Metadata.ResourceVersion != gone {
			t.Errorf("%+v", e)
		}
		h.api.put("pico-config", "3")
		if e := w.next("ADDED"); e.Object.Data["key"] != "3" {
			t.Errorf("%+v", e)
		}
		w.quiet()
		if lists, watches := h.api.counts(); lists != 1 || watches != 1 {
			t.Errorf("%d lists and %d watches upstream", lists, watches)
		}
	})
}

// TestConfigMapWatchFrom: a board that comes back with a resourceVersion is told
// what it missed, or that this cannot be known.
func TestConfigMapWatchFrom(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		first := h.api.put("pico-config", "1") // 101, before the gateway looked
		from := func(rv string) *watcher { return h.watch(t, "n", "&resourceVersion="+rv) }

		from("100").next("MODIFIED")
		from("0").next("ADDED")
		from("").next("ADDED")
		from(first).quiet()
		from("999").next("ERROR") // of another, newer store

		gone := h.api.remove("pico-config")
		synctest.Wait()
		if e := from(first).next("DELETED"); e.Object.Metadata.ResourceVersion != gone {
			t.Errorf("%+v", e)
		}
		from(gone).quiet()
		from("").quiet()
		again := h.api.put("pico-config", "2")
		synctest.Wait()
		from(gone).next("ADDED")
		from(first).next("ADDED")
		from(again).quiet()
	})
}

func TestConfigMapUnknownPast(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		w := h.watch(t, "n", "&resourceVersion=50") // absent at 100: what was at 50?
		if e := w.next("ERROR"); w.code != 200 || e.Object.Code != http.StatusGone || e.Object.Reason != "Expired" || e.Object.Kind != "Status" {
			t.Errorf("%d %+v", w.code, e)
		}
		w.ends()
		h.watch(t, "n", "&resourceVersion=100").quiet()
	})
}

// TestConfigMapFanOut: a thousand boards, one upstream watch.
func TestConfigMapFanOut(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		var boards []*watcher
		for i := range 1000 {
			boards = append(boards, h.watch(t, fmt.Sprint("n", i), ""))
		}
		for _, w := range boards {
			w.next("ADDED")
		}
		h.api.put("pico-config", "2")
		for _, w := range boards {
			w.next("MODIFIED")
		}
		if n := h.cache.watchers.Load(); n != 1000 {
			t.Errorf("%d watchers counted", n)
		}
		if lists, watches := h.api.counts(); lists != 1 || watches != 1 {
			t.Errorf("%d lists and %d watches upstream", lists, watches)
		}
		for _, w := range boards {
			w.cancel()
		}
	})
}

// TestConfigMapSlowReader: a board that does not read holds up nobody, misses
// the states between and gets the newest; one that never reads is dropped.
func TestConfigMapSlowReader(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		slow, fast := h.watch(t, "slow", ""), h.watch(t, "fast", "")
		stuck := h.pipes.dial("10.0.0.1:1") // a pipe holds nothing: who does not read, blocks
		go func() {
			_, _ = io.WriteString(stuck, "GET "+listMap+"&watch=1 HTTP/1.1\r\nHost: a\r\nPicolet-Node: stuck\r\n\r\n")
		}()
		for i := range 50 {
			h.api.put("pico-config", fmt.Sprint(i))
			fast.next(map[bool]string{true: "ADDED", false: "MODIFIED"}[i == 0])
		}
		synctest.Wait()
		events := 0
		for last := ""; last != "49"; events++ {
			e := slow.next(map[bool]string{true: "ADDED", false: "MODIFIED"}[events == 0])
			last = e.Object.Data["key"]
		}
		if events > 25 {
			t.Errorf("the slow board got %d events of 50: states are queued", events)
		}
		time.Sleep(writeTimeout + time.Second)
		if n := h.cache.watchers.Load(); n != 2 {
			t.Errorf("%d watchers after %v, want the stuck one dropped", n, writeTimeout)
		}
		stuck.Close()
		slow.quiet()
		fast.quiet()
	})
}

// A watch ends with the newest version, for a board that asked for that.
func TestConfigMapBookmarks(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		w := h.watch(t, "n", "&allowWatchBookmarks=true&timeoutSeconds=90&resourceVersion=100")
		plain := h.watch(t, "m", "&timeoutSeconds=90&resourceVersion=100")
		rv := h.api.bookmark()
		synctest.Wait()
		start := time.Now()
		e := w.next("BOOKMARK")
		if e.Object.Metadata.ResourceVersion != rv || e.Object.Kind != "ConfigMap" || time.Since(start) != 90*time.Second {
			t.Errorf("after %v: %+v", time.Since(start), e)
		}
		w.ends()
		plain.ends()
		h.watch(t, "n", "&resourceVersion="+rv).quiet()
	})
}

func TestConfigMapWatchTime(t *testing.T) {
	t.Parallel()
	for params, want := range map[string][2]time.Duration{
		"":                     {minWatchTime, maxWatchTime},
		"?timeoutSeconds=0":    {minWatchTime, maxWatchTime},
		"?timeoutSeconds=1":    {time.Second, time.Second},
		"?timeoutSeconds=9999": {maxWatchTime, maxWatchTime},
	} {
		query := "&" + strings.TrimPrefix(params, "?")
		c, refused := parseCall("GET", listMap+strings.TrimSuffix(query, "&"))
		if refused != nil {
			t.Fatal(refused)
		}
		if d := c.watchTime(); d < want[0] || d > want[1] {
			t.Errorf("%q: %v", params, d)
		}
	}
}

// TestConfigMapSurvivesUpstream: boards keep their watches and get answers while
// the API server is away, and hear what happened meanwhile.
func TestConfigMapSurvivesUpstream(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		w := h.watch(t, "n", "")
		w.next("ADDED")
		h.api.set(func() { h.api.down = true })
		h.api.cutWatches()
		time.Sleep(30 * time.Second)
		if r := h.get(t, "m", oneMap); r.code != 200 {
			t.Errorf("while the API server is away: %d %s", r.code, r.body)
		}
		other := h.get(t, "m", configMaps+"/other")
		if other.code != http.StatusServiceUnavailable || other.header.Get("Retry-After") == "" {
			t.Errorf("a ConfigMap never seen: %d %s", other.code, other.body)
		}
		other.message(t)
		h.api.put("pico-config", "2")
		h.api.set(func() { h.api.down = false })
		if e := w.next("MODIFIED"); e.Object.Data["key"] != "2" {
			t.Errorf("%+v", e)
		}
		w.quiet()
	})
}

// TestConfigMapDeletedUnseen: history was lost with the watch, and the list that
// follows does not hold the object.
func TestConfigMapDeletedUnseen(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		w := h.watch(t, "n", "")
		w.next("ADDED")
		expire := func(change func()) {
			h.api.set(func() { h.api.down = true })
			h.api.cutWatches()
			synctest.Wait()
			h.api.set(func() {
				change()
				h.api.down = false
				h.api.expired = true
			})
		}
		expire(func() {
			h.api.rv = 200
			h.api.events = nil
			delete(h.api.objects, "pico-config")
		})
		if e := w.next("DELETED"); e.Object.Metadata.ResourceVersion != "200" || e.Object.Data["key"] != "1" {
			t.Errorf("%+v", e)
		}
		// A store made anew: its resourceVersions mean something else.
		expire(func() {
			h.api.rv = 7
			h.api.events = nil
		})
		if e := w.next("ERROR"); e.Object.Code != http.StatusGone {
			t.Errorf("%+v", e)
		}
		w.ends()
		h.watch(t, "n", "&resourceVersion=200").next("ERROR")
		h.watch(t, "n", "&resourceVersion=7").quiet()
	})
}

func TestConfigMapDenied(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.api.put("pico-config", "1")
		w := h.watch(t, "n", "")
		w.next("ADDED")
		forbid := func(on bool) {
			h.api.set(func() { h.api.forbid = on })
			h.api.cutWatches()
		}
		// An API server that has just started has not read its roles yet.
		forbid(true)
		time.Sleep(denialGrace / 2)
		forbid(false)
		h.api.put("pico-config", "2")
		w.next("MODIFIED")

		forbid(true)
		if e := w.next("ERROR"); e.Object.Code != http.StatusForbidden {
			t.Errorf("a watch after the Role was taken away: %+v", e)
		}
		w.ends()
		r := h.get(t, "n", oneMap)
		message := r.message(t)
		if r.code != http.StatusForbidden || !strings.Contains(message, "--resource-name=pico-config") || !strings.Contains(message, "--serviceaccount=picolet-system:picolet-gateway") {
			t.Errorf("%d %s", r.code, message)
		}
		synctest.Wait()
		if n := h.cache.size(); n != 0 {
			t.Errorf("%d ConfigMaps kept that cannot be read", n)
		}
		h.api.set(func() { h.api.forbid = false })
		time.Sleep(denialMemory)
		if r := h.get(t, "n", oneMap); r.code != 200 {
			t.Errorf("after the Role came back: %d %s", r.code, r.body)
		}
	})
}

func TestConfigMapLinger(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		h.get(t, "n", oneMap)
		time.Sleep(feedLinger - time.Second)
		h.get(t, "n", oneMap)
		time.Sleep(feedLinger - time.Second)
		if lists, _ := h.api.counts(); lists != 1 || h.cache.size() != 1 {
			t.Errorf("%d lists, %d feeds: a polling board starts a new watch each time", lists, h.cache.size())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := h.cache.size(); n != 0 {
			t.Errorf("%d feeds %v after the last board", n, feedLinger)
		}
	})
}

func TestConfigMapsAreBounded(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		busy := h.watch(t, "n", "")
		h.get(t, "n", configMaps+"/idle")
		h.get(t, "n", configMaps+"/other") // in place of the idle one
		if n := h.cache.size(); n != 2 {
			t.Errorf("%d feeds, want 2", n)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://gateway"+configMaps+"?fieldSelector=metadata.name=other&watch=1", nil)
		req.Header.Set(nodeHeader, "m")
		if _, err := h.client("10.0.0.1:1").Do(req); err != nil {
			t.Fatal(err)
		}
		if r := h.get(t, "n", configMaps+"/third"); r.code != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("one too many: %d %s", r.code, r.body)
		}
		busy.quiet()
	}, func(c *Config) { c.MaxConfigMaps = 2 })
}

// TestConfigMapShutdown: a stop ends the watches, so that boards look elsewhere.
func TestConfigMapShutdown(t *testing.T) {
	inCluster(t, func(t *testing.T, h *harness) {
		w := h.watch(t, "n", "")
		start := time.Now()
		stopped := make(chan error)
		go func() { stopped <- h.stop() }()
		w.ends()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("shutdown took %v", d)
		}
	})
}
