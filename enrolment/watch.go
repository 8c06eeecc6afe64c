// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"

	"github.com/picolet/picolet/api/v1alpha1"
)

// handlers cut boards off as soon as the watch tells, and leave all that asks the
// API server to the queue.
func (e *Enrolment) handlers() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { e.changed(nil, obj.(*v1alpha1.Device)) },
		UpdateFunc: func(old, obj any) {
			e.changed(old.(*v1alpha1.Device), obj.(*v1alpha1.Device))
		},
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if d, ok := obj.(*v1alpha1.Device); ok {
				e.removed(d)
			}
		},
	}
}

// changed takes a version of a Device; old is nil for the first.
func (e *Enrolment) changed(old, d *v1alpha1.Device) {
	e.view.told(d)
	e.cut(d, func(h *Hold) *Refusal { return e.ends(h, d) })
	e.queue.Add(d.Name)
	if old == nil || old.Generation != d.Generation || enrolled(old) != enrolled(d) {
		e.queueRivals(d.Spec.NodeName)
		if old != nil && old.Spec.NodeName != d.Spec.NodeName {
			e.queueRivals(old.Spec.NodeName)
		}
	}
}

// ends tells why a Hold ends with a new version of its Device.
func (e *Enrolment) ends(h *Hold, d *v1alpha1.Device) *Refusal {
	switch {
	case d.UID != h.uid:
		return deleted(d.Name)
	case d.IsPending():
		return pending(d)
	case !d.IsApproved():
		return denied(d, Revoked)
	case d.Spec.NodeName != h.node.Name:
		return misnamed(d, h.node.Name)
	case d.Status.Gateway != e.identity && connected(d):
		return takenOver(d)
	case !maps.Equal(nodeOf(d).Labels, h.node.Labels), d.Spec.Pods != h.node.Pods:
		return relabelled(d)
	case !slices.Equal(nodeOf(d).ConfigMaps, h.node.ConfigMaps):
		return otherConfigMaps(d)
	}
	return nil
}

// connected tells whether some gateway says that it has a link with the board.
func connected(d *v1alpha1.Device) bool {
	return meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.Connected)
}

func misnamed(d *v1alpha1.Device, called string) *Refusal {
	return refuse(NodeNameMismatch, d.Name, "device %s is node %s, the board is %s: provision it again, or kubectl pico approve %[1]s --node-name %[3]s", d.Name, d.Spec.NodeName, called)
}

func (e *Enrolment) removed(d *v1alpha1.Device) {
	e.view.gone(d.Name)
	e.foreign.remove(d.Name)
	e.places.returned(d)
	h, r := e.findDeleted(d)
	if r != nil {
		h.cancel(r)
		e.tell(h.ctx, r, d, h.hello.Address)
	}
	e.queueRivals(d.Spec.NodeName)
}

// findDeleted is findCut for a Device of which the last version may not be known.
func (e *Enrolment) findDeleted(d *v1alpha1.Device) (*Hold, *Refusal) {
	e.holds.mu.Lock()
	defer e.holds.mu.Unlock()
	h := e.holds.byName[d.Name]
	if h == nil || h.uid != d.UID {
		return nil, nil
	}
	delete(e.holds.byName, d.Name)
	return h, deleted(d.Name)
}

// queueRivals looks again at the Devices that want a node.
func (e *Enrolment) queueRivals(node string) {
	for _, d := range e.view.ofNode(node) {
		e.queue.Add(d.Name)
	}
}
