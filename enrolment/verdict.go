// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// runtimePrefix begins the container runtime version of every node that picolet
// runs (kubelet/node).
const runtimePrefix = "picolet://"

// verdict tells whether a Device may be its node, beside the other approved ones
// of the same node name. nil: it may, if that node is a board's.
func verdict(d *v1alpha1.Device, others []*v1alpha1.Device) *Refusal {
	if key, err := d.Key(); err != nil || key.Name() != d.Name {
		return refuse(KeyMismatch, d.Name, "device %s does not have the name of its key: kubectl delete device %[1]s, and let the board come by itself", d.Name)
	}
	switch {
	case d.IsPending():
		return pending(d)
	case !d.IsApproved():
		return denied(d, refusedAs(d))
	}
	for _, other := range others {
		if other.Name != d.Name && before(other, d) {
			return refuse(NodeNameTaken, d.Name, "node %s is device %s: kubectl pico approve %s --node-name NAME, or kubectl pico revoke %[2]s", d.Spec.NodeName, other.Name, d.Name)
		}
	}
	return nil
}

// refusedAs is Revoked for a Device that was enrolled once.
func refusedAs(d *v1alpha1.Device) Reason {
	c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled)
	if c != nil && (c.Status == metav1.ConditionTrue || c.Reason == string(Revoked)) {
		return Revoked
	}
	return Denied
}

// before tells whether a has an older claim to the node name of both than b: who
// was enrolled with it, else who was there first. All gateways come to the same.
func before(a, b *v1alpha1.Device) bool {
	if key, err := a.Key(); err != nil || key.Name() != a.Name {
		return false
	}
	if enrolled(a) != enrolled(b) {
		return enrolled(a)
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name)) < 0
}

// enrolled tells whether a gateway found the Device as it is now to be good.
func enrolled(d *v1alpha1.Device) bool {
	c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled)
	return d.IsApproved() && c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == d.Generation
}

// judge is verdict, with a look at the node if that was not done before, or found
// another machine's. Any refusal that is Unavailable says nothing about the Device.
func (e *Enrolment) judge(ctx context.Context, d *v1alpha1.Device) *Refusal {
	if r := verdict(d, e.view.ofNode(d.Spec.NodeName)); r != nil {
		return r
	}
	if enrolled(d) && !e.foreign.has(d.Name) {
		return nil
	}
	return e.judgeNode(ctx, d)
}

// judgeNode looks whether the node is a board's.
func (e *Enrolment) judgeNode(ctx context.Context, d *v1alpha1.Device) *Refusal {
	node, err := e.config.Nodes.Node(ctx, d.Spec.NodeName)
	switch {
	case err != nil:
		return unavailable(d.Name, fmt.Errorf("reading node %s: %w", d.Spec.NodeName, err))
	case node != nil && !IsBoard(node):
		if e.foreign.add(d.Name) {
			e.queue.Add(d.Name)
		}
		return notABoard(d.Name, d.Spec.NodeName)
	}
	e.foreign.remove(d.Name)
	return nil
}

// lookTime bounds the look at the node of a Device that is enrolled.
const lookTime = 2 * time.Second

// judgeAgain looks at the node with each link, for a machine may have registered
// since the board was enrolled. Without an answer the board is let in: the gateway
// looks again while it is linked.
func (e *Enrolment) judgeAgain(ctx context.Context, d *v1alpha1.Device) *Refusal {
	if !enrolled(d) || e.foreign.has(d.Name) {
		return e.judgeNode(ctx, d)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if r := e.judgeNode(ctx, d); r != nil && r.Reason != Unavailable {
		return r
	}
	return nil
}

func notABoard(device, node string) *Refusal {
	return refuse(NodeNotABoard, device, "node %s is another machine and not a board: kubectl pico approve %s --node-name NAME", node, device)
}

// IsBoard reports whether a Node is, or may become, a board: it says so itself, or
// no kubelet has reported for it yet.
func IsBoard(node *corev1.Node) bool {
	return isBoardRuntime(node.Status.NodeInfo.ContainerRuntimeVersion)
}

func isBoardRuntime(version string) bool {
	return version == "" || strings.HasPrefix(version, runtimePrefix)
}
