// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

const (
	workers          = 4
	reconcileTimeout = 30 * time.Second
	sweepInterval    = 5 * time.Second
	// nodeInterval is how often a node is looked at that was no board's.
	nodeInterval = time.Minute
)

// work takes Devices from the queue until that is shut down.
func (e *Enrolment) work(ctx context.Context) {
	for {
		name, shutdown := e.queue.Get()
		if shutdown {
			return
		}
		again, err := e.reconcile(ctx, name)
		switch {
		case err == nil:
			e.queue.Forget(name)
			if again > 0 {
				e.queue.AddAfter(name, again)
			}
		case apierrors.IsConflict(err), apierrors.IsNotFound(err): // the watch tells of it
			e.queue.AddRateLimited(name)
		default:
			e.log.Warn("Device cannot be looked after: trying again", "device", name, "err", err)
			e.queue.AddRateLimited(name)
		}
		e.queue.Done(name)
	}
}

// reconcile brings a Device's status in line with what this gateway knows, and
// tells after which time to look again.
func (e *Enrolment) reconcile(ctx context.Context, name string) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	d := e.view.get(name)
	if d == nil {
		return 0, nil
	}
	r := e.judge(ctx, d)
	if d, err = e.conclude(ctx, d, r); err != nil {
		return 0, err
	}
	if r != nil && r.Reason == Unavailable {
		return 0, r
	}
	if r != nil {
		e.cut(d, func(*Hold) *Refusal { return r })
	}
	over, again := e.overdue(d)
	if over {
		return 0, e.forget(ctx, d)
	}
	if r != nil && r.Reason == NodeNotABoard {
		again = nodeInterval
	}
	return again, e.connection(ctx, d)
}

// conclude writes the conditions Approved and Enrolled if they are others than
// before. Without an answer about the node, Enrolled stays.
func (e *Enrolment) conclude(ctx context.Context, d *v1alpha1.Device, r *Refusal) (*v1alpha1.Device, error) {
	approved, changed := e.approval(d)
	conditions := []metav1.Condition{approved}
	verdict, news := e.enrollment(d, r)
	if verdict != nil {
		conditions = append(conditions, *verdict) // together: what is not applied is removed
	}
	if !changed && !news {
		return d, nil
	}
	fresh, err := e.apply(ctx, d, verdictManager, v1alpha1.DeviceStatus{Conditions: conditions})
	if err == nil && news {
		e.log.Info("Device judged", "device", d.Name, "node", d.Spec.NodeName, "reason", verdict.Reason, "message", verdict.Message)
		e.events.Event(fresh, eventType(Reason(verdict.Reason)), verdict.Reason, verdict.Message)
	}
	if err != nil {
		return d, err
	}
	return fresh, nil
}

// approval is the condition Approved, which follows the spec alone.
func (e *Enrolment) approval(d *v1alpha1.Device) (c metav1.Condition, changed bool) {
	switch {
	case d.IsApproved():
		return e.condition(d, v1alpha1.Approved, metav1.ConditionTrue, Approved, "spec.approved is true")
	case d.IsPending():
		return e.condition(d, v1alpha1.Approved, metav1.ConditionFalse, Pending, "spec.approved is not set: nobody decided yet")
	}
	return e.condition(d, v1alpha1.Approved, metav1.ConditionFalse, Denied, "spec.approved is false")
}

// enrollment is the condition Enrolled; nil if there is none yet.
func (e *Enrolment) enrollment(d *v1alpha1.Device, r *Refusal) (c *metav1.Condition, changed bool) {
	status, reason, message := metav1.ConditionTrue, Approved, "the board may be node "+d.Spec.NodeName
	switch {
	case r != nil && r.Reason == Unavailable:
		return meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled), false
	case r != nil:
		status, reason, message = metav1.ConditionFalse, r.Reason, r.Message
	}
	written, changed := e.condition(d, v1alpha1.Enrolled, status, reason, message)
	return &written, changed
}

// connection writes whether the board is connected, and where.
func (e *Enrolment) connection(ctx context.Context, d *v1alpha1.Device) error {
	c, ok := e.contactOf(d, func() bool { return e.gone(ctx, d.Status.Gateway) })
	if !ok {
		return nil
	}
	s, fresh := e.contactStatus(d, c)
	if !fresh {
		return nil
	}
	_, err := e.apply(ctx, d, e.manager, s)
	return err
}

// contactOf is what this gateway has to say of a board's connection; false if it is
// another gateway's to say, which is not gone, or there is none.
func (e *Enrolment) contactOf(d *v1alpha1.Device, gone func() bool) (contact, bool) {
	switch h := e.holds.get(d.Name); {
	case h != nil && !h.claimed.Load(): // Decide is about to write
		return contact{}, false
	case h != nil && h.silent():
		return contact{h.hello, h.lastHeard(), metav1.ConditionFalse, boardSilent, "the board has fallen silent", h.gatewayKey()}, true
	case h != nil:
		return e.linkUp(h), true
	case !connected(d):
		return contact{}, false
	case d.Status.Gateway == e.identity:
		return ended(d, linkEnded, "the board's link has ended"), true
	case gone():
		return ended(d, gatewayGone, "gateway "+d.Status.Gateway+", which had the board, is gone"), true
	}
	return contact{}, false
}

// deniedLifetime is after how long without contact a Device is deleted that a gateway
// made, and an administrator denied. If its board comes again, it waits again.
const deniedLifetime = 30 * 24 * time.Hour

// overdue reports whether a Device that a gateway made has had its time, and how much
// is left; 0 if it stays.
func (e *Enrolment) overdue(d *v1alpha1.Device) (over bool, left time.Duration) {
	lifetime := e.config.PendingLifetime
	switch c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled); {
	case untouched(d):
	case discovered(d) && !d.IsPending() && !d.IsApproved() && c != nil && c.Reason == string(Denied):
		lifetime = deniedLifetime
	default:
		return false, 0
	}
	left = lifetime - e.clock.now().Sub(lastContact(d))
	return left <= 0, left
}

// forget deletes a Device that a gateway made, and whose board has not come for long.
func (e *Enrolment) forget(ctx context.Context, d *v1alpha1.Device) error {
	err := e.devices.Delete(ctx, d.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(d.UID), ResourceVersion: ptr.To(d.ResourceVersion)},
	})
	if err == nil {
		e.log.Info("Device deleted: its board was never let in, and has not come for long", "device", d.Name, "node", d.Spec.NodeName, "addr", d.Status.Address)
	}
	return err
}

// sweep looks for boards that fell silent or spoke again, for gateways that went
// away, and for holds on Devices that no longer allow them.
func (e *Enrolment) sweep() {
	e.view.expire(e.clock.mono())
	for _, d := range e.view.all() {
		e.cut(d, func(h *Hold) *Refusal { return e.ends(h, d) })
		c, ok := e.contactOf(d, func() bool { return e.replicas.standing(d.Status.Gateway) != live })
		if !ok {
			continue
		}
		if _, fresh := e.contactStatus(d, c); fresh {
			e.queue.Add(d.Name)
		}
	}
}
