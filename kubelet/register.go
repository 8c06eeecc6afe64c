// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/kubelet/text"
)

// registrationState is the next step towards a registered node.
type registrationState uint8

const (
	look   registrationState = iota // is there a node of this name? Also sets the clock
	create                          // there is none
	label                           // there is one, with other labels
	drop                            // there is one, with resources that no board has
	done
)

func (s registrationState) operation() operation {
	switch s {
	case create:
		return createNode
	case label:
		return labelNode
	case drop:
		return dropResources
	}
	return getNode
}

// maxRepairs bounds the patches of one registration, lest the kubelet and
// something else that writes the node undo each other's work for ever.
const maxRepairs = 8

// registrationAnswered moves the registration on, as
// pkg/kubelet/kubelet_node_status.go does: create, or else repair.
func (k *Kubelet) registrationAnswered(now time.Duration, op operation, code int) {
	switch {
	case op == getNode && code == 200:
		k.inspectNode(now)
	case op == getNode && code == 404:
		k.registered = create
	case op == createNode && code/100 == 2:
		k.nodeUID = k.client.answer.UID
		k.registrationDone(now, true)
	case op == createNode && code == 409 && k.client.answer.Exists:
		k.registered = look
	case code/100 == 2: // a repair
		k.repairs++
		k.registered = look
	case code == 404: // deleted during a repair
		k.registered = look
	default:
		k.failed(now, op, code)
		k.registered = look
	}
}

// inspectNode finds out what must be repaired of a node that is already there.
func (k *Kubelet) inspectNode(now time.Duration) {
	a := &k.client.answer
	k.nodeUID = a.UID
	if a.OtherBoot && !k.rebootTold {
		k.rebootTold = true
		k.addRebootEvent(now)
	}
	switch {
	case !a.LabelsRight() && !k.labelled:
		k.labelled = true
		k.registered = label
	case a.StaleLen > 0 && k.repairs < maxRepairs:
		k.registered = drop
	default:
		k.registrationDone(now, false)
	}
}

// registrationDone starts the heartbeat. A node that was just created has
// brought its status along; one that was there gets it before the lease.
func (k *Kubelet) registrationDone(now time.Duration, fresh bool) {
	k.client.retries[registration].succeed()
	k.registered, k.labelled, k.repairs = done, false, 0
	k.lease, k.leaseAt = lookLease, now
	if fresh {
		k.statusSent(now)
	} else {
		k.statusChanged()
	}
	k.Record(now, logring.Info, "Node registered").
		Str("node", k.config.NodeName).Bytes("uid", k.nodeUID.Bytes()).End()
}

// deregistered starts over after the API server said that the node is gone.
func (k *Kubelet) deregistered(now time.Duration) {
	k.Record(now, logring.Warn, "Node is gone: registering it again").
		Str("node", k.config.NodeName).End()
	k.registered = look
}

// writeResourceDrop writes a merge patch that removes the extended resources
// that the last look found.
func (k *Kubelet) writeResourceDrop(w *jsonstream.Writer) {
	a := &k.client.answer
	w.BeginObject()
	w.Key("status")
	w.BeginObject()
	for _, list := range [...]string{"capacity", "allocatable"} {
		w.Key(list)
		w.BeginObject()
		for i := range a.StaleLen {
			w.Key(text.View(a.Stale[i].Bytes()))
			w.Null()
		}
		w.EndObject()
	}
	w.EndObject()
	w.EndObject()
}

// addRebootEvent tells that the board booted since the node was last seen.
func (k *Kubelet) addRebootEvent(now time.Duration) {
	why := k.config.Board.Facts.ResetReason
	if why == "" {
		why = "unknown"
	}
	k.events.add("DeviceRebooted", why != "software", k.clock.Micros(now)).
		text("Board ").text(k.config.Board.Facts.ID).text(" rebooted: ").text(why)
}
