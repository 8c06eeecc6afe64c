// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
)

// deviceManager is who Devices say has written them.
const deviceManager = "picolet-up"

// upBoard is one of the boards that "picolet up" runs.
type upBoard struct {
	number     int // from 1
	name       string
	dir        string
	key        ownKey
	isThisBoot func(bootID string) bool
	// keptOut is why the board is not let in; empty if it is.
	keptOut string
	advice  advice
}

// makeBoards gives each board its key, and lets it in with the admin's rights.
func (u *up) makeBoards(ctx context.Context, admin *rest.Config) error {
	client, err := devices.New(admin)
	if err != nil {
		return err
	}
	there, err := listDevices(ctx, client)
	if err != nil {
		return err
	}
	for i := range u.nodes {
		name := u.boardName(i + 1)
		b := &upBoard{number: i + 1, name: name, dir: filepath.Join(u.dir, "boards", name), advice: u.advice}
		if err := os.MkdirAll(b.dir, 0o700); err != nil {
			return err
		}
		if b.key, _, err = keyFile(filepath.Join(b.dir, "key")); err != nil {
			return fmt.Errorf("key of %s: %w", name, err)
		}
		if err := b.letIn(ctx, client, there); err != nil {
			return fmt.Errorf("device of %s: %w", name, err)
		}
		u.boards = append(u.boards, b)
	}
	return nil
}

// listDevices waits until the API server knows Devices, whose definition may be
// new.
func listDevices(ctx context.Context, client *devices.Client) ([]v1alpha1.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	for {
		list, err := client.List(ctx, metav1.ListOptions{})
		if err == nil {
			return list.Items, nil
		}
		if !apierrors.IsNotFound(err) || !pause(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("devices: %w", err)
		}
	}
}

// letIn approves the board's Device, unless somebody decided otherwise.
func (b *upBoard) letIn(ctx context.Context, client *devices.Client, there []v1alpha1.Device) error {
	own, rival := b.among(there)
	switch {
	case rival != nil:
		b.keptOut = fmt.Sprintf("has a new key, but is device %s already: %s, then %s", rival.Name, b.advice.revoke(rival.Name), b.advice.approve(b.device(), ""))
	case own == nil:
		return b.create(ctx, client)
	case own.IsPending():
		patch := fmt.Appendf(nil, `{"spec":{"approved":true,"nodeName":%q}}`, b.name)
		_, err := client.Patch(ctx, own.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: deviceManager})
		return err
	case !own.IsApproved():
		b.keptOut = "is kept out: " + b.advice.approve(own.Name, "")
	case own.Spec.NodeName != b.name:
		b.keptOut = fmt.Sprintf("shall be node %s: %s", own.Spec.NodeName, b.advice.approve(own.Name, b.name))
	}
	return nil
}

// device is the name of the board's own Device.
func (b *upBoard) device() string { return v1alpha1.Key(b.key.Public).Name() }

// among finds the board's own Device, and another one that is its node.
func (b *upBoard) among(there []v1alpha1.Device) (own, rival *v1alpha1.Device) {
	name := b.device()
	for i := range there {
		switch d := &there[i]; {
		case d.Name == name:
			own = d
		case d.IsApproved() && d.Spec.NodeName == b.name:
			rival = d
		}
	}
	return own, rival
}

func (b *upBoard) create(ctx context.Context, client *devices.Client) error {
	key := v1alpha1.Key(b.key.Public)
	_, err := client.Create(ctx, &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name()},
		Spec:       v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: b.name, Approved: ptr.To(true)},
	}, metav1.CreateOptions{FieldManager: deviceManager})
	return err
}
