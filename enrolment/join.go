// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/api/v1alpha1"
)

// tokenAnnotation names the join token by which a Device was approved.
const tokenAnnotation = "picolet.dev/join-token"

func tokenError(err error, device string, invalid *Refusal) *Refusal {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return invalid
	}
	return unavailable(device, err)
}

// lookUpToken checks the token of a board that has no Device yet.
func (e *Enrolment) lookUpToken(ctx context.Context, hello Hello) (*joinToken, *Refusal) {
	if !e.tokens.allow(subnet(hello.Address)) || !e.allTokens.AllowN(e.clock.mono(), 1) {
		return nil, refuse(RateLimited, hello.Key.Name(), "too many join tokens from %s: wait a minute", subnet(hello.Address))
	}
	t, r := e.secret(ctx, hello)
	if r != nil {
		return nil, r
	}
	return t, t.usable(hello.Key.Name(), "", hello.NodeName, e.clock.now())
}

// redeem approves a pending Device by the token that its board brought.
func (e *Enrolment) redeem(ctx context.Context, d *v1alpha1.Device, hello Hello) (*v1alpha1.Device, *Refusal) {
	if !e.tokens.allow(subnet(hello.Address)) || !e.allTokens.AllowN(e.clock.mono(), 1) {
		return d, pending(d)
	}
	t, r := e.secret(ctx, hello)
	if r != nil {
		return d, r
	}
	return e.join(ctx, d, hello, t)
}

// join uses t up for d, and then approves d. A use belongs to one Device object: a
// gateway that ends in between has lost nothing, for the same Device may try again,
// and one that was deleted and came again needs another use.
func (e *Enrolment) join(ctx context.Context, d *v1alpha1.Device, hello Hello, t *joinToken) (*v1alpha1.Device, *Refusal) {
	for range maxAttempts {
		if !d.IsPending() { // meanwhile
			return d, nil
		}
		wanted := approvedBy(d, hello, t)
		if !e.mayTake(wanted.Spec.NodeName) {
			return d, e.nameRefused(d.Name, wanted.Spec.NodeName)
		}
		if r := e.judge(ctx, wanted); r != nil {
			return d, r
		}
		if r := e.use(ctx, d, wanted.Spec.NodeName, hello); r != nil {
			return d, r
		}
		joined, err := e.approve(ctx, wanted)
		if err == nil {
			e.log.Info("Board joined by a token", "device", d.Name, "node", joined.Spec.NodeName, "token", wanted.Annotations[tokenAnnotation], "addr", hello.Address)
			return joined, nil
		}
		if !apierrors.IsConflict(err) {
			return d, unavailable(d.Name, err)
		}
		var r *Refusal
		if d, r = e.reload(ctx, d); r != nil {
			return d, r
		}
	}
	return d, unavailable(d.Name, errContended)
}

// approvedBy is d as the token makes it.
func approvedBy(d *v1alpha1.Device, hello Hello, t *joinToken) *v1alpha1.Device {
	renamed := untouched(d) // the board may have been provisioned again
	d = d.DeepCopy()
	if renamed {
		d.Spec.NodeName = hello.NodeName
	}
	yes := true
	d.Spec.Approved = &yes
	metav1.SetMetaDataAnnotation(&d.ObjectMeta, tokenAnnotation, TokenSecretName(hello.JoinToken)[len(joinTokenPrefix):])
	for k, v := range t.Labels {
		if _, set := d.Spec.Labels[k]; set {
			continue // an administrator's word counts for more
		}
		if d.Spec.Labels == nil {
			d.Spec.Labels = make(map[string]v1alpha1.LabelValue)
		}
		d.Spec.Labels[k] = v1alpha1.LabelValue(v)
	}
	return d
}

// use records the use in the token's Secret. One at a time here; against other
// gateways the Secret's version decides.
func (e *Enrolment) use(ctx context.Context, d *v1alpha1.Device, node string, hello Hello) *Refusal {
	select {
	case e.using <- struct{}{}:
		defer func() { <-e.using }()
	case <-ctx.Done():
		return unavailable(d.Name, context.Cause(ctx))
	}
	for {
		// Others may have used it while this one waited.
		t, r := e.secret(ctx, hello)
		if r != nil {
			return r
		}
		if r := t.usable(d.Name, string(d.UID), node, e.clock.now()); r != nil {
			return r
		}
		if !t.consume(string(d.UID)) {
			return nil
		}
		_, err := e.secrets.Update(ctx, t.secret, metav1.UpdateOptions{FieldManager: e.manager})
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return unavailable(d.Name, err)
		}
	}
}

// approve writes what approvedBy made, if nobody changed the Device since.
func (e *Enrolment) approve(ctx context.Context, d *v1alpha1.Device) (*v1alpha1.Device, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": d.ResourceVersion, "uid": d.UID, "annotations": d.Annotations},
		"spec":     map[string]any{"approved": true, "nodeName": d.Spec.NodeName, "labels": d.Spec.Labels},
	})
	if err != nil {
		return nil, err
	}
	joined, err := e.devices.Patch(ctx, d.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: e.manager})
	if err == nil {
		e.view.wrote(joined, e.clock.mono())
	}
	return joined, err
}
