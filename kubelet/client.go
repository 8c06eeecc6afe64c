// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/kubelet/answer"
	"github.com/picolet/picolet/kubelet/http1"
	"github.com/picolet/picolet/kubelet/logring"
)

// operation is a kind of request to the API server.
type operation uint8

const (
	noOperation operation = iota
	getNode
	createNode
	labelNode
	dropResources
	patchStatus
	getLease
	createLease
	renewLease
	repairLease
	createEvent
	listConfigMap
	watchConfigMap
	getConfigMap
	numOperations
)

var operationNames = [numOperations]string{
	"", "get_node", "create_node", "label_node", "drop_resources", "patch_status", "get_lease", "create_lease",
	"renew_lease", "repair_lease", "create_event", "list_configmap", "watch_configmap", "get_configmap",
}

// String is the operation's name in the log and in metrics.
func (op operation) String() string { return operationNames[op] }

// task is one of the jobs that share the API stream. Each waits for its own
// failures only.
type task uint8

const (
	registration task = iota
	statusReport
	leaseRenewal
	eventReport
	numTasks
)

func (op operation) task() task {
	switch op {
	case patchStatus:
		return statusReport
	case getLease, createLease, renewLease, repairLease:
		return leaseRenewal
	case createEvent:
		return eventReport
	}
	return registration
}

// client runs the API stream: one request at a time, by need.
type client struct {
	exchange
	op      operation
	askedAt time.Duration
	answer  answer.Answer
	retries [numTasks]retry
	upAt    time.Duration // when the stream was last known to be open
	everUp  bool
	news    bool // the answer changed what is known of the API server's reach
}

// stepClient dials, or asks for what is due.
func (k *Kubelet) stepClient(now time.Duration) {
	c := &k.client
	if c.overdue(now) {
		k.giveUp(now)
		c.drop(now, &k.out, &k.random)
	}
	if c.state == streamClosed && c.dial.ready(now) {
		c.dialNow(now, &k.out)
	}
	for c.state == streamIdle {
		op := k.nextOperation(now)
		if op == noOperation {
			return
		}
		k.ask(now, op)
	}
}

// giveUp notes a dial or an answer that took too long.
func (k *Kubelet) giveUp(now time.Duration) {
	c := &k.client
	if c.state == streamDialing {
		k.unanswered(now, c.state, "API server cannot be reached", errDialTimeout)
		return
	}
	k.countAnswer(c.op, 0)
	k.unanswered(now, c.state, "API server does not answer", nil)
}

// nextOperation is what to ask for now: registration before all else, status
// before lease, Events last. A status that has to wait holds up no lease that
// is kept already.
func (k *Kubelet) nextOperation(now time.Duration) operation {
	r := &k.client.retries
	if k.registered != done {
		if !r[registration].ready(now) {
			return noOperation
		}
		return k.registered.operation()
	}
	switch {
	case k.statusDue && r[statusReport].ready(now):
		return patchStatus
	case !k.leaseHeld() && now >= k.leaseAt && r[leaseRenewal].ready(now):
		return k.lease.operation()
	case k.events.n > 0 && r[eventReport].ready(now):
		return createEvent
	}
	return noOperation
}

// leaseHeld reports whether the lease waits for the status: that is so until the
// first one since the registration has arrived.
func (k *Kubelet) leaseHeld() bool { return k.statusDue && k.lease == lookLease }

// ask sends the request of op.
func (k *Kubelet) ask(now time.Duration, op operation) {
	c := &k.client
	c.op, c.askedAt = op, now
	head := k.newHead(&c.exchange)
	k.prepare(head, op)
	k.writeBody(now, op) // may still read the answer before
	c.answer.Reset(&k.node)
	if !c.exchange.ask(now, head) {
		// Configure makes buffers that hold every request; should one not
		// fit all the same, it must not be tried for ever.
		k.logRequest(now, logring.Error, "Request does not fit its buffer", op)
		k.client.retries[op.task()].fail(now, slowDelay, slowDelayMax, &k.random)
		if op == createEvent {
			k.events.drop()
		}
	}
}

// newHead begins the head of a request on x: who sends it, and that answers to
// writes may be short: what was written, but for its UID and version, is known.
// A gateway that has bound the stream to the node remembers all that; an API
// server knows nothing of it.
func (k *Kubelet) newHead(x *exchange) *http1.RequestHead {
	head := &k.head
	*head = http1.RequestHead{Host: k.config.Host}
	if x.bound {
		return head
	}
	head.UserAgent, head.Accept = k.userAgent, "application/json"
	head.Authorization = k.authorization
	head.Prefer = "return=minimal"
	head.Extra[0] = http1.Field{Name: "Picolet-Node", Value: k.config.NodeName}
	head.Extra[1] = http1.Field{Name: "Picolet-Board", Value: k.config.Board.Facts.ID}
	return head
}

const (
	nodesPath  = "/api/v1/nodes"
	leasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	eventsPath = "/api/v1/namespaces/default/events"

	typeJSON           = "application/json"
	typeMergePatch     = "application/merge-patch+json"
	typeStrategicPatch = "application/strategic-merge-patch+json"
)

// prepare fills in the head of op's request.
func (k *Kubelet) prepare(head *http1.RequestHead, op operation) {
	name := k.config.NodeName
	set := func(method, contentType string, path ...string) {
		head.Method, head.ContentType = method, contentType
		copy(head.Path[:], path)
	}
	switch op {
	case getNode:
		set("GET", "", nodesPath, "/", name)
	case createNode:
		set("POST", typeJSON, nodesPath)
	case labelNode:
		set("PATCH", typeStrategicPatch, nodesPath, "/", name)
	case dropResources:
		set("PATCH", typeMergePatch, nodesPath, "/", name, "/status")
	case patchStatus:
		set("PATCH", typeStrategicPatch, nodesPath, "/", name, "/status")
	case getLease:
		set("GET", "", leasesPath, "/", name)
	case createLease:
		set("POST", typeJSON, leasesPath)
	case renewLease, repairLease:
		set("PATCH", typeMergePatch, leasesPath, "/", name)
	case createEvent:
		set("POST", typeJSON, eventsPath)
	}
}

// writeBody writes the body of op's request.
func (k *Kubelet) writeBody(now time.Duration, op operation) {
	w, micros := k.client.body(), k.clock.Micros(now)
	switch op {
	case createNode:
		k.refresh(now)
		k.statusAsked, k.heartbeatsShort, k.wholeAt = k.statusChanges, 0, now
		k.node.WriteNode(w, micros)
	case labelNode:
		k.node.WriteLabelPatch(w)
	case dropResources:
		k.writeResourceDrop(w)
	case patchStatus:
		k.writeStatus(now, w, micros)
	case createLease:
		k.writeLease(w, micros)
	case renewLease:
		k.writeRenewal(w, micros)
	case repairLease:
		k.writeLeaseRepair(w, micros)
	case createEvent:
		k.writeEvent(w, micros)
	}
}

// receiveAnswer takes bytes of the answer on the API stream.
func (k *Kubelet) receiveAnswer(now time.Duration, p []byte) {
	c := &k.client
	for len(p) > 0 {
		if c.state != streamAsked {
			k.logRequest(now, logring.Warn, "API server sent bytes that nobody asked for", c.op)
			c.drop(now, &k.out, &k.random)
			return
		}
		body, n, st, err := c.reader.Feed(p)
		p = p[n:]
		if err != nil {
			k.countAnswer(c.op, 0)
			k.logFailure(now, "API server's answer is not HTTP", c.op, err)
			c.drop(now, &k.out, &k.random)
			return
		}
		c.answer.Feed(body)
		if st == http1.Done {
			k.complete(now)
		} else if n == 0 {
			return
		}
	}
}

// complete acts on a whole answer.
func (k *Kubelet) complete(now time.Duration) {
	c := &k.client
	op, code := c.op, c.reader.Status
	c.state, c.upAt, c.everUp = streamIdle, now, true
	c.dial.succeed()
	if c.reader.Close || len(c.out) > 0 {
		// An answer before the whole request was sent leaves the framing
		// in doubt: the stream is not used again.
		c.state, c.out = streamClosed, nil
		k.out.Close |= 1 << c.stream
	}
	c.bound = c.bound || c.reader.Bound
	c.answer.SetVersion(c.reader.ETagText())
	k.setTime(now, c.reader.DateText())
	k.countAnswer(op, code)
	k.durations.add(op, now-c.askedAt)
	c.news = k.answeredWith(now, code)
	if code/100 == 2 && c.answer.Malformed {
		code = 0
	}
	k.answered(now, op, code)
	if c.reader.Report {
		k.reportAsked(now)
	}
}

// answered dispatches an answer by the task it belongs to; code 0 is an answer
// that makes no sense.
func (k *Kubelet) answered(now time.Duration, op operation, code int) {
	switch op.task() {
	case registration:
		k.registrationAnswered(now, op, code)
	case statusReport:
		k.statusAnswered(now, code)
	case leaseRenewal:
		k.leaseAnswered(now, op, code)
	case eventReport:
		k.eventAnswered(now, code)
	}
}

// setTime sets the clock from an answer's Date header.
func (k *Kubelet) setTime(now time.Duration, date []byte) {
	if len(date) > 0 && !k.clock.Sync(now, date) {
		k.Record(now, logring.Debug, "API server sent a Date that is none").Bytes("date", date).End()
	}
}

// failed delays a task by what the answer says: 401 and 403 slowly and aloud,
// 429 and 503 as Retry-After has it, the rest soon.
func (k *Kubelet) failed(now time.Duration, op operation, code int) {
	r := &k.client.retries[op.task()]
	k.delay(now, r, code, k.client.reader.RetryAfter)
	if silent(code) && !k.client.news {
		return
	}
	rec := k.Record(now, levelOf(code), messageOf(code)).
		Str("operation", op.String()).Int("code", int64(code))
	if said := k.client.answer.Message(); len(said) > 0 {
		rec.Bytes("answer", said)
	}
	rec.Dur("retry", r.at-now).End()
}

// delay sets a retry by the code of a failed answer.
func (k *Kubelet) delay(now time.Duration, r *retry, code, retryAfter int) {
	if refused(code) {
		r.fail(now, slowDelay, slowDelayMax, &k.random)
	} else {
		r.fail(now, quickDelay, quickDelayMax, &k.random)
	}
	if retryAfter >= 0 && (code == 429 || code == 503) {
		r.postpone(now, time.Duration(retryAfter)*time.Second, &k.random)
	} else if code == 429 {
		r.postpone(now, time.Second, &k.random)
	}
}

// refused tells whether asking again soon cannot help. A conflict that is not
// the kubelet's own to solve is another board with its name.
func refused(code int) bool { return code == 401 || code == 403 || code == 405 || code == 409 }

func levelOf(code int) logring.Level {
	if refused(code) {
		return logring.Error
	}
	return logring.Warn
}

func messageOf(code int) string {
	switch {
	case code == 401:
		return "API server does not know this board: check its token or certificate"
	case code == 403:
		return "API server refuses this board: check its node name and the gateway's roles"
	case code == 409:
		return "API server has another owner for this: check that no other board has this node name"
	case code == 429:
		return "API server asks to slow down"
	case code == 0:
		return "API server's answer is not JSON"
	case code >= 500:
		return "API server cannot answer now"
	}
	return "API server refuses a request"
}

func (k *Kubelet) logRequest(now time.Duration, l logring.Level, message string, op operation) {
	k.Record(now, l, message).Str("operation", op.String()).End()
}

func (k *Kubelet) logFailure(now time.Duration, message string, op operation, err error) {
	k.Record(now, logring.Warn, message).Str("operation", op.String()).Err(err).End()
}
