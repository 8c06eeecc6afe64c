// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/wallclock"
)

// maxEvents is how many Events wait to be sent. The newest are lost when more
// happens, as the kubelet's own recorder has it.
const maxEvents = 8

// maxEventMessage is the longest message of an Event; more is cut. The API
// server takes 1 KiB. With the rest of an event it fills whole words.
const maxEventMessage = 126

// Events beyond a burst are sent one after the other, and wait or are lost like others:
// Kubernetes' own recorder allows 25 at once, too, and then one in 5 minutes (client-go
// tools/record, EventSourceObjectSpamFilter). A gateway allows 25 and one a second.
const (
	eventBurst    = 15
	eventInterval = 2 * time.Second
)

// event is an Event of the node that waits to be sent.
type event struct {
	reason  string
	warning bool
	micros  int64 // time of day, 0 if it was not known when it happened
	length  uint8
	message [maxEventMessage]byte
}

// eventQueue holds Events, oldest first.
type eventQueue struct {
	queue   [maxEvents]event
	n       int
	dropped uint32
	rested  time.Duration // when a whole burst may be sent again
}

// sent notes that an Event was sent, and returns when the next may be.
func (q *eventQueue) sent(now time.Duration) (next time.Duration) {
	q.rested = max(q.rested, now) + eventInterval
	return q.rested - (eventBurst-1)*eventInterval
}

// add queues an Event and returns its message, to append to; nil when full.
func (q *eventQueue) add(reason string, warning bool, micros int64) *event {
	if q.n == len(q.queue) {
		q.dropped++
		return nil
	}
	e := &q.queue[q.n]
	*e = event{reason: reason, warning: warning, micros: micros}
	q.n++
	return e
}

// text appends to the message. It does nothing to a nil event.
func (e *event) text(s string) *event {
	if e != nil {
		e.length += uint8(copy(e.message[e.length:], s))
	}
	return e
}

// bytes appends to the message. It does nothing to a nil event.
func (e *event) bytes(b []byte) *event {
	if e != nil {
		e.length += uint8(copy(e.message[e.length:], b))
	}
	return e
}

// int appends a number to the message, whole or not at all. It does nothing to
// a nil event.
func (e *event) int(v int64) *event {
	const longest = 20
	if e != nil && int(e.length)+longest <= len(e.message) {
		e.length = uint8(len(strconv.AppendInt(e.message[:e.length], v, 10)))
	}
	return e
}

// drop removes the oldest Event.
func (q *eventQueue) drop() {
	if q.n == 0 {
		return
	}
	copy(q.queue[:], q.queue[1:q.n])
	q.n--
}

// writeEvent writes the oldest Event for POST …/events. As the kubelet's
// Events do, it names the node as its own UID, which kubectl describe looks for.
func (k *Kubelet) writeEvent(w *jsonstream.Writer, now int64) {
	e := &k.events.queue[0]
	if e.micros == 0 {
		e.micros = now
	}
	w.BeginObject()
	w.StringMember("kind", "Event")
	w.StringMember("apiVersion", "v1")
	k.writeEventName(w)
	k.writeEventObject(w)
	w.StringMember("reason", e.reason)
	w.BytesMember("message", e.message[:e.length])
	w.StringMember("type", eventType(e.warning))
	w.IntMember("count", 1)
	t := wallclock.AppendTime(w.Scratch(), e.micros)
	w.BytesMember("firstTimestamp", t)
	w.BytesMember("lastTimestamp", t)
	w.Key("source")
	w.BeginObject()
	w.StringMember("component", "kubelet")
	w.StringMember("host", k.config.NodeName)
	w.EndObject()
	w.StringMember("reportingComponent", "kubelet")
	w.StringMember("reportingInstance", k.config.NodeName)
	w.EndObject()
}

// writeEventName gives the Event a name that no other has.
func (k *Kubelet) writeEventName(w *jsonstream.Writer) {
	w.Key("metadata")
	w.BeginObject()
	w.Key("name")
	w.BeginString()
	w.AppendTextString(k.config.NodeName)
	w.AppendTextString(".")
	w.AppendText(appendHex(w.Scratch(), k.random.next()))
	w.EndString()
	w.StringMember("namespace", "default")
	w.EndObject()
}

func (k *Kubelet) writeEventObject(w *jsonstream.Writer) {
	w.Key("involvedObject")
	w.BeginObject()
	w.StringMember("kind", "Node")
	w.StringMember("apiVersion", "v1")
	w.StringMember("name", k.config.NodeName)
	w.StringMember("uid", k.config.NodeName)
	w.EndObject()
}

func eventType(warning bool) string {
	if warning {
		return "Warning"
	}
	return "Normal"
}

func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}
