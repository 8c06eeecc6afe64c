// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// discoveredLabel marks Devices that a gateway made for a board that came; those
// of an administrator are never deleted.
const discoveredLabel = "picolet.dev/discovered"

// newcomer makes a pending Device for a key that has none. A board with a good join
// token does not count as a stranger: the token's uses are its bound.
func (e *Enrolment) newcomer(ctx context.Context, hello Hello) (*v1alpha1.Device, *Refusal) {
	if !e.mayTake(hello.NodeName) {
		return nil, e.nameRefused("", hello.NodeName)
	}
	invited := false
	var token *joinToken
	var why *Refusal
	if hello.JoinToken != "" {
		token, why = e.lookUpToken(ctx, hello)
		invited = why == nil
	}
	if !invited {
		if r := e.room(ctx, hello.Address); r != nil {
			return nil, r
		}
		defer e.leave(network(hello.Address))
	}
	d, r := e.create(ctx, hello)
	if r != nil {
		return nil, r
	}
	if invited {
		return e.join(ctx, d, hello, token)
	}
	return d, why
}

func (e *Enrolment) nameRefused(device, node string) *Refusal {
	return refuse(NodeNameRefused, device, "node name %s is not among those that boards may take here, %s: provision the board again", node, strings.Join(e.config.NodeNames, " "))
}

func (e *Enrolment) mayTake(node string) bool {
	for _, pattern := range e.config.NodeNames {
		if ok, _ := path.Match(pattern, node); ok { // patterns were validated
			return true
		}
	}
	return len(e.config.NodeNames) == 0
}

func (e *Enrolment) create(ctx context.Context, hello Hello) (*v1alpha1.Device, *Refusal) {
	d, err := e.devices.Create(ctx, &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{
			Name: hello.Key.Name(), Labels: map[string]string{discoveredLabel: "true"},
			Annotations: map[string]string{networkAnnotation: network(hello.Address)},
		},
		Spec: v1alpha1.DeviceSpec{PublicKey: hello.Key.String(), NodeName: hello.NodeName},
	}, metav1.CreateOptions{FieldManager: e.manager})
	if apierrors.IsAlreadyExists(err) { // by another gateway
		d, err = e.devices.Get(ctx, hello.Key.Name(), metav1.GetOptions{})
	}
	if err != nil {
		return nil, unavailable(hello.Key.Name(), err)
	}
	e.view.wrote(d, e.clock.mono())
	return d, nil
}

// untouched reports whether a gateway made the Device and nobody changed it since.
func untouched(d *v1alpha1.Device) bool {
	return d.IsPending() && discovered(d) && d.Generation == 1
}
