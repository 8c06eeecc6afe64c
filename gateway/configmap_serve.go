// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

const (
	syncTimeout  = 5 * time.Second // for the first answer about a ConfigMap
	minWatchTime = 5 * time.Minute // where a board gives none, as clients do
	maxWatchTime = 10 * time.Minute
)

// watches reports whether the call asks for a watch.
func (c *call) watches() bool {
	on, _ := strconv.ParseBool(c.params.Get("watch")) // checkParam saw it
	return on
}

// serve answers a board's get, list or watch of one ConfigMap.
func (c *configMapCache) serve(w http.ResponseWriter, r *http.Request, call *call) *refusal {
	f, refused := c.acquire(feedKey{call.namespace, call.name})
	if refused != nil {
		return refused
	}
	defer c.release(f)
	if call.watches() {
		defer c.takeOver(f, call.node, connOf(r.Context()))()
	}
	s, latest, refused := f.wait(r.Context())
	switch {
	case refused != nil:
		return refused
	case call.watches():
		c.watchers.Add(1)
		defer c.watchers.Add(-1)
		f.watch(w, r, call)
		return nil
	case call.op.verb == "list":
		writeJSON(w, s.list(latest))
		return nil
	case !s.present:
		return refuse(http.StatusNotFound, "not_found", "configmaps %q not found", call.name)
	}
	writeJSON(w, s.object)
	return nil
}

// takeOver makes conn the one on which a node's board watches f, and closes the one
// before: a board that watches anew has lost that, most likely with its power, and
// nobody else would close it for a minute. The caller calls ends.
func (c *configMapCache) takeOver(f *feed, node string, conn *boardConn) (ends func()) {
	if older := f.watchBegins(node, conn); older != nil {
		c.supersede(older, "watch")
	}
	return func() { f.watchEnds(node, conn) }
}

// wait returns the state as soon as there is one.
func (f *feed) wait(ctx context.Context) (*snapshot, string, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for {
		s, latest := f.load()
		if s.denied != nil || s.synced() {
			return s, latest, s.denied
		}
		select {
		case <-s.next:
		case <-f.cache.closing:
			return nil, "", unavailable("shutdown", 1, "the gateway is shutting down")
		case <-ctx.Done():
			return nil, "", unavailable("unsynced", retryUpstream, "the API server has not told the gateway about ConfigMap %s/%s yet", f.key.namespace, f.key.name)
		}
	}
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a board that is gone needs no answer
}

// list is the state as a ConfigMapList.
func (s *snapshot) list(latest string) []byte {
	out := make([]byte, 0, len(s.object)+128)
	out = append(out, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":`...)
	out = strconv.AppendQuote(out, latest)
	out = append(out, `},"items":[`...)
	if s.present {
		out = append(out, s.object...)
	}
	return append(out, `]}`...)
}

// watch streams the ConfigMap's states to one board until its time is over. A
// bookmark comes at the end alone: a board whose watch breaks off before can go
// on from any version, for it is told states, and bookmarks wake it for nothing.
func (f *feed) watch(w http.ResponseWriter, r *http.Request, call *call) {
	st := stream{w: w, control: http.NewResponseController(w), cache: f.cache}
	w.Header().Set("Content-Type", jsonType)
	defer st.renew() // for the end of the stream
	if st.renew(); !st.flush() {
		return
	}
	at, ok := f.start(call.params.Get("resourceVersion"))
	if !ok {
		st.expired()
		return
	}
	bookmarks, _ := strconv.ParseBool(call.params.Get("allowWatchBookmarks"))
	over := time.NewTimer(call.watchTime())
	defer over.Stop()
	for last := false; ; {
		s, latest := f.load()
		if !st.tell(s, &at) || last && bookmarks && !st.bookmark(latest) || last {
			return
		}
		select {
		case <-s.next:
		case <-over.C:
			last = true
		case <-f.cache.closing:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// start places a board that has seen everything up to resourceVersion rv. It is
// not ok if rv comes from a future that this API server has not: its store was
// made anew, and the board must list again.
func (f *feed) start(rv string) (at cursor, ok bool) {
	s, latest := f.load()
	if rv == "" || rv == "0" {
		return cursor{epoch: s.epoch}, true
	}
	return cursor{rv: rv, epoch: s.epoch}, s.denied != nil || !newer(rv, latest)
}

// watchTime is how long the watch may last: what the board asks for, at most
// 10 min, or a random time, so that boards do not come back all at once.
func (c *call) watchTime() time.Duration {
	seconds, _ := strconv.ParseUint(c.params.Get("timeoutSeconds"), 10, 31) // checkParam saw it
	if seconds == 0 {
		return minWatchTime + rand.N(maxWatchTime-minWatchTime)
	}
	return min(time.Duration(seconds)*time.Second, maxWatchTime)
}

// A stream writes the events of one watch. Its methods report whether the watch
// goes on.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	cache   *configMapCache
}

// tell brings the board at cursor at to state s.
func (st *stream) tell(s *snapshot, at *cursor) bool {
	event := s.news(*at)
	if event == watch.Error {
		if s.denied != nil {
			st.fail(s.denied)
		} else {
			st.expired()
		}
		return false
	}
	if event != noEvent && !st.event(event, s.object) {
		return false
	}
	if event != noEvent || at.rv == "" {
		*at = cursor{rv: s.rv, gone: !s.present, epoch: s.epoch}
	}
	return true
}

// expired says that the board's resourceVersion is of no use, as the API server
// says it within a watch: 200, and 410 in the event.
func (st *stream) expired() {
	st.fail(refuse(http.StatusGone, "expired", "the resourceVersion is too old or unknown: list again"))
}

func (st *stream) fail(r *refusal) { st.event(watch.Error, r.status().JSON()) }

// bookmark tells the board that it has seen everything up to rv.
func (st *stream) bookmark(rv string) bool {
	object := []byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":` + strconv.Quote(rv) + `}}`)
	return st.event(watch.Bookmark, object)
}

// event writes one line, without copying the object that all boards share. A
// board that does not take it in time is dropped.
func (st *stream) event(t watch.EventType, object []byte) bool {
	st.renew()
	if !st.write(eventHeads[t]) || !st.write(object) || !st.write(eventTail) || !st.flush() {
		return false
	}
	st.cache.events.Add(1)
	return true
}

// What stands around the object in a line of a watch.
var (
	eventHeads = map[watch.EventType][]byte{
		watch.Added:    []byte(`{"type":"ADDED","object":`),
		watch.Modified: []byte(`{"type":"MODIFIED","object":`),
		watch.Deleted:  []byte(`{"type":"DELETED","object":`),
		watch.Bookmark: []byte(`{"type":"BOOKMARK","object":`),
		watch.Error:    []byte(`{"type":"ERROR","object":`),
	}
	eventTail = []byte("}\n")
)

func (st *stream) write(p []byte) bool {
	_, err := st.w.Write(p)
	return err == nil
}

// renew gives the board writeTimeout for what is written next.
func (st *stream) renew() {
	_ = st.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // every connection of net/http has deadlines
}

func (st *stream) flush() bool { return st.control.Flush() == nil }
