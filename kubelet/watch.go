// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/logring"
)

// How a ConfigMap is followed.
const (
	pollInterval   = 30 * time.Second // where a watch is refused
	watchAgain     = 2 * time.Minute  // after which a refused watch is tried again
	watchTimeout   = 5 * time.Minute  // asked of the server; jittered by a tenth
	watchGrace     = 30 * time.Second // for the server to end a watch by itself
	shortWatch     = 5 * time.Second  // one that ends sooner is not asked for again at once
	maxVersionText = 20
)

// watcher follows one ConfigMap on a stream of its own: list, then watch from
// there; or poll where that is refused.
type watcher struct {
	exchange
	name    ObjectName
	op      operation // what is to be asked next, or was
	next    retry     // when
	decoder configmap.Decoder
	staged  configmap.Staged
	digest  uint64 // of what the ConfigMap asked for last; 0: nothing yet

	version     [maxVersionText]byte // where a watch goes on
	versionLen  uint8
	polling     bool
	pollUntil   time.Duration
	asked       time.Duration // when the request under way was sent
	timeout     [4]byte
	absent      bool // the ConfigMap is not there, and that was said
	told        error
	bodyRefused bool // the body under way is an error's, or of no use
}

// stepWatchers dials, asks, and gives up on what takes too long. Nothing is
// watched before the node is registered: a board that may not be there has no
// business reading.
func (k *Kubelet) stepWatchers(now time.Duration) {
	for i := range k.watchers {
		w := &k.watchers[i]
		if w.overdue(now) {
			if !k.reach.outage() {
				k.logWatch(now, logring.Warn, "ConfigMap is not answered", w).End()
			}
			k.countAnswer(w.op, 0)
			w.drop(now, &k.out, &k.random)
		}
		if k.registered != done && w.state == streamClosed {
			continue
		}
		if w.state == streamClosed && w.dial.ready(now) && w.next.ready(now) {
			w.dialNow(now, &k.out)
		}
		if w.state == streamIdle && w.next.ready(now) {
			k.askWatch(now, w)
		}
	}
}

// askWatch sends the request that is next.
func (k *Kubelet) askWatch(now time.Duration, w *watcher) {
	if w.polling && now >= w.pollUntil {
		w.polling, w.op = false, listConfigMap
	}
	head := k.newHead(&w.exchange)
	head.Method = "GET"
	copy(head.Path[:], []string{"/api/v1/namespaces/", w.name.Namespace, "/configmaps"})
	shape := configmap.List
	switch w.op {
	case getConfigMap:
		shape = configmap.Object
		head.Path[3], head.Path[4] = "/", w.name.Name
	case watchConfigMap:
		shape = configmap.Watch
		k.watchQuery(head, w)
		fallthrough
	default:
		head.Query[0] = http1.Param{Name: "fieldSelector", Value: "metadata.name=", Suffix: w.name.Name}
	}
	w.decoder.Reset(shape, w.name.Namespace, w.name.Name, &w.staged)
	w.asked, w.bodyRefused = now, false
	if !w.exchange.ask(now, head) {
		k.logWatch(now, logring.Error, "Request does not fit its buffer", w).End()
		w.next.fail(now, slowDelay, slowDelayMax, &k.random)
		return
	}
}

// watchQuery adds what makes a list a watch.
func (k *Kubelet) watchQuery(head *http1.RequestHead, w *watcher) {
	seconds := int64(k.random.around(watchTimeout, 100) / time.Second)
	head.Query[1] = http1.Param{Name: "watch", Value: "1"}
	head.Query[2] = http1.Param{Name: "allowWatchBookmarks", Value: "true"}
	head.Query[3] = http1.Param{Name: "resourceVersion", Bytes: w.version[:w.versionLen]}
	head.Query[4] = http1.Param{Name: "timeoutSeconds", Bytes: strconv.AppendInt(w.timeout[:0], seconds, 10)}
}

// receiveWatch takes bytes of the answer on a watcher's stream.
func (k *Kubelet) receiveWatch(now time.Duration, w *watcher, p []byte) {
	for len(p) > 0 {
		if w.state != streamAsked {
			k.logWatch(now, logring.Warn, "API server sent bytes that nobody asked for", w).End()
			w.drop(now, &k.out, &k.random)
			return
		}
		began := w.reader.HeadDone()
		body, n, st, err := w.reader.Feed(p)
		p = p[n:]
		if err != nil {
			k.logWatch(now, logring.Warn, "API server's answer is not HTTP", w).Err(err).End()
			k.countAnswer(w.op, 0)
			w.drop(now, &k.out, &k.random)
			return
		}
		if !began && w.reader.HeadDone() {
			k.watchHead(now, w)
		}
		if !k.feedWatch(now, w, body) {
			return
		}
		if st == http1.Done {
			k.watchDone(now, w)
		} else if n == 0 {
			return
		}
	}
}

// watchHead acts on the head of an answer: a watch that was let in may last.
func (k *Kubelet) watchHead(now time.Duration, w *watcher) {
	w.bound = w.bound || w.reader.Bound
	k.setTime(now, w.reader.DateText())
	k.countAnswer(w.op, w.reader.Status)
	w.bodyRefused = w.reader.Status != 200
	if w.op == watchConfigMap && !w.bodyRefused {
		w.deadline = now + watchTimeout + watchTimeout/10 + watchGrace
		w.dial.succeed()
	}
}

// feedWatch takes a piece of the body. It reports whether the stream is still
// of use.
func (k *Kubelet) feedWatch(now time.Duration, w *watcher, body []byte) bool {
	for len(body) > 0 && !w.bodyRefused {
		ev, n, err := w.decoder.Feed(body)
		body = body[n:]
		if err != nil {
			k.logWatch(now, logring.Warn, "ConfigMap cannot be read", w).Err(err).End()
			w.op = w.first()
			w.next.fail(now, quickDelay, quickDelayMax, &k.random)
			w.drop(now, &k.out, &k.random)
			return false
		}
		if ev == configmap.None {
			return true
		}
		k.watchEvent(now, w, ev)
		if ev == configmap.Expired || ev == configmap.Failed {
			k.watchExpired(now, w)
			return false
		}
	}
	return true
}

// watchExpired starts over with a list, on a new stream: nothing more comes on
// this one.
func (k *Kubelet) watchExpired(now time.Duration, w *watcher) {
	k.logWatch(now, logring.Info, "ConfigMap must be listed again", w).Int("code", int64(w.decoder.Code())).End()
	w.versionLen, w.op = 0, w.first()
	w.drop(now, &k.out, &k.random)
}

// Reconnected tells that streams lead to the API server by a new connection: what was
// refused on the last one may be allowed on this one, so ConfigMaps that were refused
// are asked for at once.
func (k *Kubelet) Reconnected(now time.Duration) {
	for i := range k.watchers {
		w := &k.watchers[i]
		if w.polling || w.next.failures > 0 {
			w.polling, w.op, w.next = false, listConfigMap, retry{}
		}
	}
	k.step(now)
}

// first is the request to begin with.
func (w *watcher) first() operation {
	if w.polling {
		return getConfigMap
	}
	return listConfigMap
}

// watchEvent acts on one thing that the API server said of the ConfigMap.
func (k *Kubelet) watchEvent(now time.Duration, w *watcher, ev configmap.Event) {
	if v := w.decoder.ResourceVersion(); len(v) > 0 {
		w.versionLen = uint8(copy(w.version[:], v))
	}
	switch ev {
	case configmap.Applied:
		w.absent, w.told = false, nil
		k.applyConfig(now, w)
	case configmap.Deleted, configmap.Absent:
		k.configGone(now, w)
	case configmap.Refused:
		k.refuseConfig(now, w)
	}
}

// watchDone plans what follows a whole answer.
func (k *Kubelet) watchDone(now time.Duration, w *watcher) {
	code := w.reader.Status
	if w.op != watchConfigMap {
		k.durations.add(w.op, now-w.asked)
	}
	w.state = streamIdle
	if w.reader.Close || len(w.out) > 0 {
		w.state, w.out = streamClosed, nil
		k.out.Close |= 1 << w.stream
	}
	w.dial.succeed()
	if w.bodyRefused {
		k.watchRefused(now, w, code)
		return
	}
	k.planWatch(now, w)
}

// planWatch is the way of a watcher whose requests are answered.
func (k *Kubelet) planWatch(now time.Duration, w *watcher) {
	switch {
	case w.polling:
		w.op = getConfigMap
		w.next = retry{at: now + k.random.around(pollInterval, 40)}
	case w.versionLen == 0: // nothing to go on from
		w.op = listConfigMap
		if w.next.ready(now) {
			w.next.fail(now, quickDelay, quickDelayMax, &k.random)
		}
	case w.op == watchConfigMap && now-w.asked < shortWatch:
		w.next.fail(now, quickDelay, quickDelayMax, &k.random)
	default:
		w.op = watchConfigMap
		w.next.succeed()
	}
}

// watchRefused acts on an answer that is no success.
func (k *Kubelet) watchRefused(now time.Duration, w *watcher, code int) {
	op := w.op
	switch {
	case op == getConfigMap && code == 404:
		k.configGone(now, w)
		k.planWatch(now, w)
		return
	case op != getConfigMap && (code == 403 || code == 404 || code == 405 || code == 501):
		k.logWatch(now, logring.Warn, "Watch is refused: polling instead", w).Int("code", int64(code)).End()
		w.polling, w.pollUntil, w.op = true, now+watchAgain, getConfigMap
		return
	case code == 410:
		w.versionLen = 0
	}
	w.op = w.first()
	k.delay(now, &w.next, code, w.reader.RetryAfter)
	if !silent(code) || !k.reach.outage() {
		k.logWatch(now, levelOf(code), messageOf(code), w).Int("code", int64(code)).Dur("retry", w.next.at-now).End()
	}
}

// configGone tells, once, that there is no ConfigMap; what it said before
// stays in force.
func (k *Kubelet) configGone(now time.Duration, w *watcher) {
	if w.absent {
		return
	}
	w.absent = true
	k.logWatch(now, logring.Info, "No such ConfigMap: the last good configuration stays", w).End()
}

// refuseConfig tells, once for a reason, that a ConfigMap was not taken.
func (k *Kubelet) refuseConfig(now time.Duration, w *watcher) {
	why := w.decoder.Err()
	k.configsRejected++
	if w.told == why {
		return
	}
	w.told = why
	k.logWatch(now, logring.Error, "ConfigMap is refused: the last good configuration stays", w).Err(why).End()
	k.events.add("ConfigRejected", true, k.clock.Micros(now)).
		text(w.name.Namespace).text("/").text(w.name.Name).text(": ").text(why.Error())
}

// logWatch begins a record about a ConfigMap.
func (k *Kubelet) logWatch(now time.Duration, l logring.Level, message string, w *watcher) *logring.Record {
	return k.Record(now, l, message).
		Str("namespace", w.name.Namespace).Str("name", w.name.Name)
}
