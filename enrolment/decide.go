// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// maxAttempts is how often something is tried that another gateway was faster with.
const maxAttempts = 5

var errNotSynced = errors.New("the Devices have not been read yet: apply deploy/picolet.dev_devices.yaml and deploy/enrolment.yaml if they are missing")

var errContended = errors.New("other gateways keep changing the same object")

// Decide decides on a board that has proved its key. The error is a *[Refusal], of
// which the board may be told the text; it was logged and counted. The caller
// releases the Hold when the link ends, and cuts the link when its Context does.
//
// For a Device that is known and approved this is a look at its Node and one write
// to the API server, by which gateways agree who has the board. It waits for that as
// long as ctx allows.
func (e *Enrolment) Decide(ctx context.Context, hello Hello) (*Hold, error) {
	hold, d, r := e.decide(ctx, hello)
	if r == nil {
		e.metrics.decided(Approved)
		e.log.Info("Board connected", "node", d.Spec.NodeName, "device", d.Name, "addr", hello.Address, "firmware", hello.Firmware)
		return hold, nil
	}
	e.tell(ctx, r, d, hello.Address)
	if d != nil {
		e.noteRefused(ctx, d, hello, r)
	}
	return nil, r
}

func (e *Enrolment) decide(ctx context.Context, hello Hello) (*Hold, *v1alpha1.Device, *Refusal) {
	if r := hello.check(); r != nil {
		return nil, nil, r
	}
	if !e.synced(ctx) {
		return nil, nil, unavailable("", errNotSynced)
	}
	if err := e.Check(); err != nil {
		return nil, nil, unavailable("", err)
	}
	d, r := e.device(ctx, hello)
	for range maxAttempts {
		if r != nil {
			return nil, d, r
		}
		if r = e.admissible(ctx, d, hello); r != nil {
			return nil, d, r
		}
		var hold *Hold
		if hold, r = e.take(d, hello); r != nil {
			return nil, d, r
		}
		claimed, err := e.claim(ctx, d, hold)
		if err == nil {
			hold.claimed.Store(true)
			return hold, claimed, nil
		}
		e.letGo(hold)
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return nil, d, unavailable(d.Name, err)
		}
		d, r = e.reload(ctx, d)
	}
	return nil, d, unavailable(d.Name, errContended)
}

// device finds the hello's Device, or makes it, and redeems a join token for it.
func (e *Enrolment) device(ctx context.Context, hello Hello) (*v1alpha1.Device, *Refusal) {
	name := hello.Key.Name()
	d := e.view.get(name)
	switch {
	case d == nil:
		return e.newcomer(ctx, hello)
	case !e.contacts.allow(name):
		return d, refuse(RateLimited, name, "the board of device %s connects too often: wait a minute; kubectl describe device %[1]s tells why", name)
	case d.IsPending() && hello.JoinToken != "":
		return e.redeem(ctx, d, hello)
	}
	return d, nil
}

// admissible tells why the board of d cannot be let in now; nil if it can.
func (e *Enrolment) admissible(ctx context.Context, d *v1alpha1.Device, hello Hello) *Refusal {
	if key, err := d.Key(); err != nil || key != hello.Key {
		return refuse(KeyMismatch, d.Name, "device %s holds another key than the board: kubectl delete device %[1]s", d.Name)
	}
	if r := verdict(d, e.view.ofNode(d.Spec.NodeName)); r != nil {
		return r
	}
	if hello.NodeName != d.Spec.NodeName {
		return misnamed(d, hello.NodeName)
	}
	if connected(d) && d.Status.Gateway != e.identity && !e.gone(ctx, d.Status.Gateway) {
		return keyInUse(d)
	}
	return e.judgeAgain(ctx, d)
}

// reload asks the API server for the newest version of d.
func (e *Enrolment) reload(ctx context.Context, d *v1alpha1.Device) (*v1alpha1.Device, *Refusal) {
	fresh, err := e.devices.Get(ctx, d.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		e.view.gone(d.Name)
		return d, deleted(d.Name)
	case err != nil:
		return d, unavailable(d.Name, err)
	}
	e.view.wrote(fresh, e.clock.mono())
	return fresh, nil
}
