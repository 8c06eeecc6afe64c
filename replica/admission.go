// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/link/noise"
)

// admission lets in whom enrolment lets in.
type admission struct{ *Replica }

var _ gateway.Admission = admission{}

// Admit implements gateway.Admission. A board that is let in has its kubelet port
// before it can say anything about its Node.
func (a admission) Admit(ctx context.Context, n gateway.Newcomer) (gateway.Admitted, error) {
	if err := a.setup.admit(ctx, v1alpha1.Key(n.Key)); err != nil {
		return gateway.Admitted{}, err
	}
	hold, err := a.enrolment.Decide(ctx, enrolment.Hello{
		Key: v1alpha1.Key(n.Key), BoardID: n.Hello.BoardID, NodeName: n.Hello.NodeName,
		Firmware: n.Hello.Version, JoinToken: n.Hello.JoinToken, Address: n.Address, GatewayKey: v1alpha1.Key(n.GatewayKey),
	})
	if err != nil {
		return gateway.Admitted{}, told{err}
	}
	node := hold.Node()
	part := gateway.NodePart{Labels: node.Labels, Taints: taints(node.Taints), NoTaint: node.NoTaint, Pods: node.Pods}
	v := &visit{ctx: hold.Context(), node: node.Name, version: n.Hello.Version, pods: newBoundPods(node.Name), sawRuntime: hold.SawRuntime}
	if a.ports != nil {
		a.openPort(ctx, v, &part)
	}
	a.refusals.add(v, func() { a.mirrors.changed(v) })
	context.AfterFunc(v.ctx, func() { a.refusals.remove(v) })
	if a.nodeCerts != nil {
		context.AfterFunc(hold.Context(), func() { a.dropCredentials(hold) })
	}
	return gateway.Admitted{
		Node: node.Name, Context: hold.Context(), Heard: hold.Heard, Runtime: hold.SawRuntime, Release: hold.Release, Reason: endReason, Part: part,
		Device: hold.Device(), ConfigMaps: configMaps(node.ConfigMaps),
		Stored: func(key noise.PublicKey) { hold.Stored(v1alpha1.Key(key)) },
	}, nil
}

// webSockets has the API server pass WebSockets on to the kubelet port, where else
// it would speak SPDY (k8s.io/component-helpers/nodedeclaredfeatures).
const webSockets = "ExtendWebSocketsToKubelet"

// openPort opens the port of a board's node until its Hold ends. A board comes in
// without one, too.
func (a admission) openPort(ctx context.Context, v *visit, part *gateway.NodePart) {
	v.address = a.config.Addresses[0].Unmap()
	number, err := a.ports.open(ctx, v)
	if err != nil {
		a.log.Error("Node has no kubelet port", "node", v.node, "err", err)
		return
	}
	part.Kubelet = netip.AddrPortFrom(v.address, uint16(number))
	part.Features = []string{webSockets}
	a.mirrors.add(v)
	context.AfterFunc(v.ctx, func() {
		a.mirrors.remove(v)
		a.ports.close(v)
	})
}

// dropTime bounds the removal of a node's credentials.
const dropTime = 10 * time.Second

// dropCredentials removes the certificate of a node whose Device was deleted while its
// board was connected.
func (a admission) dropCredentials(hold *enrolment.Hold) {
	r, ok := errors.AsType[*enrolment.Refusal](context.Cause(hold.Context()))
	if !ok || r.Reason != enrolment.Deleted {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	if err := a.nodeCerts.Remove(ctx, hold.Node().Name); err != nil {
		a.log.Warn("Credentials of a node stay, delete its Secret", "node", hold.Node().Name, "err", err)
	}
}

// told is a refusal that enrolment has logged.
type told struct{ error }

var _ gateway.Retry = told{}

// keyInUseDelay is after what time a board tries again whose key is in use: its last
// link may have been with a gateway that is gone, or not be known to have ended, for some
// seconds more.
const keyInUseDelay = 2 * time.Second

// RetryAfter implements gateway.Retry.
func (t told) RetryAfter() time.Duration {
	if r, ok := errors.AsType[*enrolment.Refusal](t.error); ok && r.Reason == enrolment.KeyInUse {
		return keyInUseDelay
	}
	return 0
}

func (t told) Is(target error) bool { return target == gateway.ErrTold }
func (t told) Unwrap() error        { return t.error }

// endReason is what the board is told when its Hold ends.
func endReason(cause error) noise.Reason {
	r, ok := errors.AsType[*enrolment.Refusal](cause)
	switch {
	case !ok:
		return noise.EndRevoked
	case r.Reason == enrolment.TakenOver:
		return noise.EndReplaced
	case r.Reason == enrolment.Unavailable, r.Reason == enrolment.Changed:
		return noise.EndShutdown
	}
	return noise.EndRevoked
}

// configMaps is never nil: who is named none reads none.
func configMaps(decided []v1alpha1.ConfigMapReference) []gateway.ConfigMapName {
	list := make([]gateway.ConfigMapName, 0, len(decided))
	for _, m := range decided {
		list = append(list, gateway.ConfigMapName(m))
	}
	return list
}

func taints(decided []v1alpha1.Taint) []corev1.Taint {
	list := make([]corev1.Taint, 0, len(decided))
	for _, t := range decided {
		list = append(list, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	return list
}
