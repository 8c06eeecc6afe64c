// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"math"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/answer"
	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/kubelet/wallclock"
)

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// logSize is the size of the log ring in bytes: some 30 records.
const logSize = 3 << 10

// Kubelet is one node's kubelet. Its zero value must be configured.
type Kubelet struct {
	config        Config
	userAgent     string
	authorization string

	node     node.Node
	clock    wallclock.Clock
	random   random
	log      logring.Ring
	readings board.Readings
	network  board.NetworkReadings
	reach    reachability

	client     client
	head       http1.RequestHead                // of the request that is being made
	text       [configmap.MaxRejectionText]byte // scratch of one call
	command    command                          // that is being carried out
	watchers   []watcher
	server     httpserver.Server
	routeTable []httpserver.Route
	sample     sampleWriter
	events     eventQueue
	blinking   blink
	out        Output

	// Registration, status and lease.
	started         bool
	registered      registrationState
	labelled        bool // this registration has mended the labels
	rebootTold      bool
	conditionsKnown bool
	addressChanged  bool
	statusDue       bool
	late            bool // no heartbeat has arrived for long
	resetting       bool
	repairs         uint8
	lease           leaseState
	nodeUID         answer.Text
	leaseVersion    answer.Text
	statusChanges   uint16        // what made a whole status necessary, counted
	statusAsked     uint16        // statusChanges when the one under way was written
	statusTold      uint16        // statusChanges of the last one that arrived
	heartbeatsShort uint8         // statuses since the last whole one
	statusAt        time.Duration // when to compute the status again
	reportAt        time.Duration // when to send it unchanged
	leaseAt         time.Duration // when to renew the lease
	heartbeatAt     time.Duration // last status or renewal that arrived
	wholeAt         time.Duration // when the last whole status was written
	resetAt         time.Duration
	renewedMicros   int64

	// Configuration.
	applied configmap.Config
	storing storing
	record  []byte // scratch; none without storage

	counters
	logBuffer [logSize]byte
}

// Start begins at now, the time since boot: the stored configuration is put
// in force, then the node is registered.
func (k *Kubelet) Start(now time.Duration) {
	rec := k.Record(now, logring.Info, "Kubelet started").
		Str("node", k.config.NodeName).Str("board", k.config.Board.Facts.ID).Str("version", k.config.Version)
	if why := k.config.Board.Facts.ResetReason; why != "" {
		rec.Str("reset", why)
	}
	rec.End()
	k.events.add("Starting", false, 0).text("Starting kubelet.")
	k.started = true
	k.restore(now)
	k.step(now)
}

// Tick lets time pass until now.
func (k *Kubelet) Tick(now time.Duration) {
	k.server.Tick(now)
	k.step(now)
}

// Opened tells that a stream asked for by Output.Dial is open.
func (k *Kubelet) Opened(now time.Duration, s Stream) {
	if x := k.exchange(s); x != nil {
		x.open()
	}
	k.step(now)
}

// Closed tells that a stream is gone: its dial failed, the peer closed it, or
// an error ended it. The cause is for the log; nil stands for an orderly end.
func (k *Kubelet) Closed(now time.Duration, s Stream, cause error) {
	switch x := k.exchange(s); {
	case x == nil && s >= StreamServed && int(s) < NumStreams:
		k.server.Closed(now, int(s-StreamServed))
	case x == nil || x.state == streamClosed:
	case s == StreamAPI:
		k.clientClosed(now, cause)
	default:
		k.watcherClosed(now, &k.watchers[s-StreamWatch], cause)
	}
	k.step(now)
}

// clientClosed acts on the end of the API stream, which may be the end of an
// answer without a length.
func (k *Kubelet) clientClosed(now time.Duration, cause error) {
	c := &k.client
	if c.state == streamAsked && c.reader.End() == nil {
		k.complete(now)
		return
	}
	switch c.state {
	case streamAsked:
		k.countAnswer(c.op, 0)
		k.unanswered(now, c.state, "Stream to the API server ended before its answer", cause)
	case streamDialing:
		k.unanswered(now, c.state, "API server cannot be reached", cause)
	default:
		k.Record(now, logring.Info, "Stream to the API server ended").Str("host", k.config.Host).Err(cause).End()
	}
	c.lost(now, &k.random)
}

func (k *Kubelet) watcherClosed(now time.Duration, w *watcher, cause error) {
	if w.state == streamAsked && w.reader.End() == nil {
		k.watchDone(now, w)
		return
	}
	if w.state == streamDialing && !k.reach.outage() {
		k.logWatch(now, logring.Debug, "ConfigMap's stream cannot be opened", w).Err(cause).End()
	}
	w.lost(now, &k.random)
}

// Receive takes bytes that arrived on a stream and returns how many it took.
// The rest is to be offered again after the next Sent or Tick.
func (k *Kubelet) Receive(now time.Duration, s Stream, p []byte) int {
	n := len(p)
	switch {
	case s == StreamAPI:
		k.receiveAnswer(now, p)
	case int(s-StreamWatch) < len(k.watchers):
		k.receiveWatch(now, &k.watchers[s-StreamWatch], p)
	case s >= StreamServed && int(s) < NumStreams:
		n = k.server.Receive(now, int(s-StreamServed), p)
	}
	k.step(now)
	return n
}

// Accept tells that a client connected to the kubelet port. It returns the
// stream's number, which may be that of an idle connection that had to make
// room: the caller closes that one first, without calling Closed. If ok is
// false, all are taken: the caller sends Busy and
// closes.
func (k *Kubelet) Accept(now time.Duration) (s Stream, ok bool) {
	conn, ok := k.server.Accept(now)
	k.step(now)
	return StreamServed + Stream(conn), ok
}

// Busy is a whole response for a client that Accept turned away. It must not
// be changed.
func Busy() []byte { return httpserver.Busy() }

// Pending is what is to be sent on a stream, valid until the next input.
func (k *Kubelet) Pending(s Stream) []byte {
	if x := k.exchange(s); x != nil {
		return x.out
	}
	if s >= StreamServed && int(s) < NumStreams {
		return k.server.Pending(int(s - StreamServed))
	}
	return nil
}

// Sent tells that the first n bytes of Pending were sent.
func (k *Kubelet) Sent(now time.Duration, s Stream, n int) {
	if x := k.exchange(s); x != nil {
		x.sent(n)
	} else if s >= StreamServed && int(s) < NumStreams {
		k.server.Sent(now, int(s-StreamServed), n)
	}
	k.step(now)
}

// SetAddress tells the board's own IP address, "" when it lost it. An address
// given in Config stays.
func (k *Kubelet) SetAddress(now time.Duration, ip string) {
	if k.config.Address == "" && k.node.SetAddress(ip) {
		k.addressChanged, k.statusAt = true, now
		k.step(now)
	}
}

// Record begins a record of the kubelet's log with the board's time of day, for
// whoever drives the kubelet; its End completes it.
func (k *Kubelet) Record(now time.Duration, l logring.Level, message string) *logring.Record {
	return k.log.Begin(now, k.clock.Micros(now), l, message)
}

// Log is the kubelet's log, for a console to follow.
func (k *Kubelet) Log() *logring.Ring { return &k.log }

// exchange is the exchange of a stream towards the API server, nil for others.
func (k *Kubelet) exchange(s Stream) *exchange {
	switch {
	case s == StreamAPI:
		return &k.client.exchange
	case int(s-StreamWatch) < len(k.watchers):
		return &k.watchers[s-StreamWatch].exchange
	}
	return nil
}

// step does all that is due at now.
func (k *Kubelet) step(now time.Duration) {
	if !k.started {
		return
	}
	if k.client.state >= streamIdle {
		k.client.upAt, k.client.everUp = now, true
	}
	k.checkStatus(now)
	k.stepClient(now)
	k.stepWatchers(now)
	k.stepStore(now)
	k.stepBlink(now)
	k.stepReset(now)
}

// Output is what must be done after the inputs since it was last called.
func (k *Kubelet) Output() Output {
	out := k.out
	k.out = Output{}
	closed := k.server.Expired()
	for s := range Stream(NumStreams) {
		served := s >= StreamServed
		conn := int(s - StreamServed)
		if served && closed.Has(conn) {
			out.Close |= 1 << s
		}
		if len(k.Pending(s)) > 0 {
			out.Send |= 1 << s
		}
		if served && k.server.Finishing(conn) {
			out.Finish |= 1 << s
		}
	}
	out.Wake = k.wake()
	return out
}

// wake is the next time at which something is due.
func (k *Kubelet) wake() time.Duration {
	c := &k.client
	t := min(k.server.Wake(), c.exchange.wake(), k.blinking.wake(), k.storing.wake(), k.resetWake())
	for i := range k.watchers {
		w := &k.watchers[i]
		if k.registered == done || w.state != streamClosed {
			t = min(t, w.wake())
		}
	}
	if k.registered == done {
		t = min(t, k.statusAt)
	}
	if c.state == streamIdle {
		t = min(t, k.operationAt())
	}
	return t
}

// wake is when the watcher needs a tick.
func (w *watcher) wake() time.Duration {
	switch w.state {
	case streamClosed:
		return max(w.dial.at, w.next.at)
	case streamIdle:
		return w.next.at
	}
	return w.exchange.wake()
}

// operationAt is when nextOperation has something to do, on an idle stream.
func (k *Kubelet) operationAt() time.Duration {
	r := &k.client.retries
	if k.registered != done {
		return r[registration].at
	}
	t := max(k.leaseAt, r[leaseRenewal].at)
	switch {
	case k.leaseHeld():
		t = r[statusReport].at
	case k.statusDue:
		t = min(t, r[statusReport].at)
	}
	if k.events.n > 0 {
		t = min(t, r[eventReport].at)
	}
	return t
}
