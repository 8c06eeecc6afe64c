// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/kubelet/answer"
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/kubelet/text"
	"github.com/picolet/picolet/kubelet/wallclock"
)

// linkGrace is how long the API stream may be closed before the node's network
// counts as unavailable.
const linkGrace = 10 * time.Second

// checkStatus computes the status every NodeStatusUpdateFrequency, and has it
// sent when it changed, when NodeStatusReportFrequency has passed, or when
// heartbeats were late: the node may have been marked Unknown, which a lease
// alone does not undo. It is sent with the computation nearest to the time at
// which it is due, not with the one after it.
func (k *Kubelet) checkStatus(now time.Duration) {
	if k.registered != done {
		return
	}
	if now >= k.statusAt {
		if k.refresh(now) {
			k.statusChanged()
		}
		k.statusAt = now + k.config.NodeStatusUpdateFrequency
		k.statusDue = k.statusDue || now+k.config.NodeStatusUpdateFrequency/2 > k.reportAt
	}
	late := now-k.heartbeatAt > k.config.LeaseDuration/2
	if late && !k.late {
		k.statusChanged()
	}
	k.late = late
}

// statusChanged has a whole status sent: it changed, or what the API server
// has of it is in doubt.
func (k *Kubelet) statusChanged() {
	k.statusChanges++
	k.statusDue = true
}

// shortReports is how many statuses in a row may hold the conditions alone: once in
// an hour, by default, a whole one repairs the rest of what another writer has
// replaced.
const shortReports = 11

// writeStatus writes the status, or its conditions alone if the API server has the
// rest.
func (k *Kubelet) writeStatus(now time.Duration, w *jsonstream.Writer, micros int64) {
	k.statusAsked = k.statusChanges
	if k.statusTold == k.statusChanges && k.heartbeatsShort < shortReports {
		k.heartbeatsShort++
		k.node.WriteHeartbeat(w, micros)
		return
	}
	k.heartbeatsShort, k.wholeAt = 0, now
	k.node.WriteStatusPatch(w, micros)
}

// reportAsked acts on a gateway's word that the API server has another status of
// the node than this one, which the answers to heartbeats do not show. A whole one
// is not sent more often for that than the status is computed.
func (k *Kubelet) reportAsked(now time.Duration) {
	if k.registered != done || now-k.wholeAt < k.config.NodeStatusUpdateFrequency {
		return
	}
	k.statusChanged()
	k.Record(now, logring.Info, "Gateway asks for the node's status").Str("node", k.config.NodeName).End()
}

// refresh reads the sensors and computes the conditions. It reports whether
// anything changed that is worth a status.
func (k *Kubelet) refresh(now time.Duration) bool {
	k.readSensors(now)
	micros := k.clock.Micros(now)
	first := !k.conditionsKnown
	flipped := k.node.SetConditions(node.Inputs{
		Readings:     &k.readings,
		StoreFailed:  k.storing.failed,
		PortFull:     k.server.Stats().InUse == MaxServed,
		LinkUp:       k.linkUp(now),
		ShuttingDown: k.resetting,
	}, micros)
	k.conditionsKnown = true
	for c := node.NetworkUnavailable; c <= node.Ready; c++ {
		if flipped&(1<<c) != 0 && (!first || c == node.Ready) {
			k.addConditionEvent(c, micros)
		}
	}
	changed := flipped != 0 || k.addressChanged
	k.addressChanged = false
	return changed
}

// linkUp tells whether the API stream is open, or was a moment ago.
func (k *Kubelet) linkUp(now time.Duration) bool {
	c := &k.client
	return c.state >= streamIdle || c.everUp && now-c.upAt < linkGrace
}

// conditionEvents are the reasons of the Events of a condition that turned
// false and true, as pkg/kubelet/events has them.
var conditionEvents = [...][2]string{
	node.NetworkUnavailable: {},
	node.MemoryPressure:     {"NodeHasSufficientMemory", "NodeHasInsufficientMemory"},
	node.DiskPressure:       {"NodeHasNoDiskPressure", "NodeHasDiskPressure"},
	node.PIDPressure:        {"NodeHasSufficientPID", "NodeHasInsufficientPID"},
	node.Ready:              {"NodeNotReady", "NodeReady"},
}

func (k *Kubelet) addConditionEvent(c node.Condition, micros int64) {
	i := 0
	if k.node.Status(c) {
		i = 1
	}
	if reason := conditionEvents[c][i]; reason != "" {
		k.events.add(reason, false, micros).
			text("Node ").text(k.config.NodeName).text(" status is now: ").text(reason)
	}
}

// statusAnswered acts on the answer to a status patch.
func (k *Kubelet) statusAnswered(now time.Duration, code int) {
	switch {
	case code/100 == 2:
		k.client.retries[statusReport].succeed()
		k.statusSent(now)
	case code == 404:
		k.deregistered(now)
	case code == 409: // another writer, or another board: the look will tell
		k.failed(now, patchStatus, 500)
		k.registered = look
	default:
		k.statusChanged()
		k.failed(now, patchStatus, code)
	}
}

// statusSent notes that the API server has the status as it was when it was
// written, from when on the next report is counted.
func (k *Kubelet) statusSent(now time.Duration) {
	k.statusTold = k.statusAsked
	k.statusDue = k.statusChanges != k.statusTold
	k.reportAt = k.client.askedAt + k.config.NodeStatusReportFrequency
	k.beat(now)
}

// beat notes a heartbeat that arrived.
func (k *Kubelet) beat(now time.Duration) {
	k.heartbeatAt = now
	k.heartbeats++
}

// leaseState is the next step of the lease.
type leaseState uint8

const (
	lookLease leaseState = iota
	newLease
	keepLease
	mendLease // it is there, but not as it must be
)

func (s leaseState) operation() operation {
	switch s {
	case newLease:
		return createLease
	case keepLease:
		return renewLease
	case mendLease:
		return repairLease
	}
	return getLease
}

// leaseAnswered moves the lease on: found or created once, renewed from then
// on, looked up again on a conflict.
func (k *Kubelet) leaseAnswered(now time.Duration, op operation, code int) {
	switch {
	case op == getLease && code == 200:
		k.inspectLease()
	case code == 404:
		// A lease that vanishes was deleted with its node, or the namespace
		// is missing: the status tells whether the node is still there.
		k.lease = newLease
		if op != getLease {
			k.statusChanged()
		}
		if op == createLease {
			k.failed(now, op, code)
		}
	case code/100 == 2:
		k.leaseRenewed(now)
	case code == 409:
		k.leaseConflicts++
		k.lease = lookLease
		k.client.retries[leaseRenewal].fail(now, quickDelay, quickDelayMax, &k.random)
	default:
		k.failed(now, op, code)
	}
}

// inspectLease tells whether a lease that was found can be renewed as it is.
func (k *Kubelet) inspectLease() {
	a := &k.client.answer
	k.leaseVersion = a.Version
	k.lease = mendLease
	if a.HolderIs && a.Owners == 1 && text.View(a.OwnerUID.Bytes()) == text.View(k.nodeUID.Bytes()) {
		k.lease = keepLease
	}
}

// leaseRenewed plans the next renewal: a quarter of the duration, give or take
// 4 %, as pkg/kubelet has it (nodeLeaseRenewIntervalFraction).
func (k *Kubelet) leaseRenewed(now time.Duration) {
	k.leaseVersion = k.client.answer.Version
	k.lease = keepLease
	k.leaseAt = now + k.random.around(k.config.LeaseDuration/4, 40)
	k.client.retries[leaseRenewal].succeed()
	k.beat(now)
}

// writeRenewTime writes the time of day, but always later than the last: a renewTime
// that goes back is taken for none.
func (k *Kubelet) writeRenewTime(w *jsonstream.Writer, micros int64) {
	k.renewedMicros = max(micros, k.renewedMicros+1)
	w.BytesMember("renewTime", wallclock.AppendMicroTime(w.Scratch(), k.renewedMicros))
}

func (k *Kubelet) writeLease(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	w.StringMember("kind", "Lease")
	w.StringMember("apiVersion", "coordination.k8s.io/v1")
	w.Key("metadata")
	w.BeginObject()
	w.StringMember("name", k.config.NodeName)
	w.StringMember("namespace", "kube-node-lease")
	k.writeOwner(w)
	w.EndObject()
	k.writeLeaseSpec(w, micros)
	w.EndObject()
}

// writeRenewal writes the merge patch of a renewal. The version makes it a
// conflict when somebody else wrote the lease in between.
func (k *Kubelet) writeRenewal(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	k.writeVersion(w, &k.leaseVersion, false)
	w.Key("spec")
	w.BeginObject()
	k.writeRenewTime(w, micros)
	w.EndObject()
	w.EndObject()
}

func (k *Kubelet) writeLeaseRepair(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	k.writeVersion(w, &k.leaseVersion, true)
	k.writeLeaseSpec(w, micros)
	w.EndObject()
}

func (k *Kubelet) writeVersion(w *jsonstream.Writer, version *answer.Text, owner bool) {
	w.Key("metadata")
	w.BeginObject()
	w.BytesMember("resourceVersion", version.Bytes())
	if owner {
		k.writeOwner(w)
	}
	w.EndObject()
}

func (k *Kubelet) writeOwner(w *jsonstream.Writer) {
	w.Key("ownerReferences")
	w.BeginArray()
	w.BeginObject()
	w.StringMember("apiVersion", "v1")
	w.StringMember("kind", "Node")
	w.StringMember("name", k.config.NodeName)
	w.BytesMember("uid", k.nodeUID.Bytes())
	w.EndObject()
	w.EndArray()
}

func (k *Kubelet) writeLeaseSpec(w *jsonstream.Writer, micros int64) {
	w.Key("spec")
	w.BeginObject()
	w.StringMember("holderIdentity", k.config.NodeName)
	w.IntMember("leaseDurationSeconds", int64(k.config.LeaseDuration/time.Second))
	k.writeRenewTime(w, micros)
	w.EndObject()
}

// eventAnswered drops an Event that arrived or that nobody wants.
func (k *Kubelet) eventAnswered(now time.Duration, code int) {
	switch {
	case code/100 == 2:
		k.client.retries[eventReport] = retry{at: k.events.sent(now)}
		k.events.drop()
	case code == 429 || code >= 500 || code == 0:
		k.failed(now, createEvent, code)
	default:
		k.Record(now, logring.Warn, "API server refuses an Event").
			Str("reason", k.events.queue[0].reason).Int("code", int64(code)).
			Bytes("answer", k.client.answer.Message()).End()
		k.events.drop()
	}
}
