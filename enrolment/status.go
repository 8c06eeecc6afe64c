// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// verdictManager owns the conditions Approved and Enrolled, which are the same on
// every gateway. Each owns what it saw of a board under its own name.
const verdictManager = "picolet-enrolment"

// applied is a status for server-side apply. With a resourceVersion it fails if the
// Device was changed since.
type applied struct {
	APIVersion string                `json:"apiVersion"`
	Kind       string                `json:"kind"`
	Metadata   appliedMeta           `json:"metadata"`
	Status     v1alpha1.DeviceStatus `json:"status"`
}

type appliedMeta struct {
	Name            string    `json:"name"`
	UID             types.UID `json:"uid,omitempty"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
}

// apply writes s as part of the status of the Device d, if that is unchanged.
func (e *Enrolment) apply(ctx context.Context, d *v1alpha1.Device, manager string, s v1alpha1.DeviceStatus) (*v1alpha1.Device, error) {
	body, err := json.Marshal(applied{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Device",
		Metadata: appliedMeta{Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion}, Status: s,
	})
	if err != nil {
		return nil, err
	}
	fresh, err := e.devices.Patch(ctx, d.Name, types.ApplyYAMLPatchType, body,
		metav1.PatchOptions{FieldManager: manager, Force: ptr.To(true)}, "status")
	if err == nil {
		e.view.wrote(fresh, e.clock.mono())
	}
	return fresh, err
}

// condition is the Device's condition of type kind as it becomes; changed is false
// if it says that already.
func (e *Enrolment) condition(d *v1alpha1.Device, kind string, status metav1.ConditionStatus, reason Reason, message string) (c metav1.Condition, changed bool) {
	conditions := slices.Clone(d.Status.Conditions)
	changed = meta.SetStatusCondition(&conditions, metav1.Condition{
		Type: kind, Status: status, Reason: string(reason), Message: message,
		ObservedGeneration: d.Generation, LastTransitionTime: metav1.NewTime(e.clock.now()),
	})
	return *meta.FindStatusCondition(conditions, kind), changed
}

// contact is what a gateway has to say of a board.
type contact struct {
	hello      Hello
	at         time.Time
	status     metav1.ConditionStatus
	reason     Reason
	message    string
	gatewayKey string // fingerprint
}

// contactStatus is c as a status; fresh is false if the Device says so already, but
// for a time of contact that is not old.
func (e *Enrolment) contactStatus(d *v1alpha1.Device, c contact) (s v1alpha1.DeviceStatus, fresh bool) {
	condition, changed := e.condition(d, v1alpha1.Connected, c.status, c.reason, c.message)
	s = v1alpha1.DeviceStatus{
		Conditions: []metav1.Condition{condition},
		Board:      c.hello.BoardID, FirmwareVersion: c.hello.Firmware, Address: c.hello.Address,
		Gateway: e.identity, LastContact: ptr.To(metav1.NewTime(c.at)), GatewayKey: c.gatewayKey,
	}
	old := d.Status
	same := old.Board == s.Board && old.FirmwareVersion == s.FirmwareVersion && old.Address == s.Address &&
		old.Gateway == s.Gateway && old.GatewayKey == s.GatewayKey && old.LastContact != nil && c.at.Sub(old.LastContact.Time) < e.config.ContactInterval
	return s, changed || !same
}

// ended is a contact that is over: all that was known of the board stays.
func ended(d *v1alpha1.Device, reason Reason, message string) contact {
	at := d.CreationTimestamp.Time
	if d.Status.LastContact != nil {
		at = d.Status.LastContact.Time
	}
	return contact{
		hello: Hello{BoardID: d.Status.Board, Firmware: d.Status.FirmwareVersion, Address: d.Status.Address},
		at:    at, status: metav1.ConditionFalse, reason: reason, message: message, gatewayKey: d.Status.GatewayKey,
	}
}

// claim makes this gateway the one that has the board. The error is a conflict if
// the Device was changed since d, by an administrator or another gateway.
func (e *Enrolment) claim(ctx context.Context, d *v1alpha1.Device, h *Hold) (*v1alpha1.Device, error) {
	s, fresh := e.contactStatus(d, e.linkUp(h))
	if !fresh && d.Status.Gateway == e.identity {
		s.LastContact = ptr.To(metav1.NewTime(h.lastHeard())) // even so: the write is what counts
	}
	return e.apply(ctx, d, e.manager, s)
}

func (e *Enrolment) linkUp(h *Hold) contact {
	return contact{h.hello, h.lastHeard(), metav1.ConditionTrue, linkUp, "gateway " + e.config.Replica + " has a link with the board", h.gatewayKey()}
}

// noteRefused writes into d that its board was refused, at most once a minute. What
// another board did does not concern a board that is connected.
func (e *Enrolment) noteRefused(ctx context.Context, d *v1alpha1.Device, hello Hello, r *Refusal) {
	if r.Reason == RateLimited || r.Reason == Unavailable || r.Reason == KeyInUse || !e.noted.allow(d.Name) {
		return
	}
	for range maxAttempts {
		key, err := d.Key()
		if err != nil || key != hello.Key || connected(d) {
			return
		}
		s, fresh := e.contactStatus(d, contact{hello, e.clock.now(), metav1.ConditionFalse, r.Reason, r.Message, fingerprint(hello.GatewayKey)})
		if !fresh {
			return
		}
		_, err = e.apply(ctx, d, e.manager, s)
		if !apierrors.IsConflict(err) {
			e.unwritten(d, err)
			return
		}
		var gone *Refusal
		if d, gone = e.reload(ctx, d); gone != nil {
			return
		}
	}
}

func (e *Enrolment) unwritten(d *v1alpha1.Device, err error) {
	if err != nil && !apierrors.IsNotFound(err) {
		e.log.Warn("Status of a device cannot be written", "device", d.Name, "err", err)
	}
}
