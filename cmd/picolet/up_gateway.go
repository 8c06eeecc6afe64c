// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/replica"
)

// kubeletAddress is where the nodes' kubelet ports are.
func (f *upFlags) kubeletAddress() (netip.Addr, error) {
	if f.address == "" {
		return machineAddress(), nil
	}
	a, err := netip.ParseAddr(f.address)
	if err != nil || !isHere(a) {
		return a, usagef("--address %q: give an IP address of this machine", f.address)
	}
	return a, nil
}

// makeGateway makes the gateway under its own identity, and waits for its
// rights. It returns the key by which boards know it, too.
func (u *up) makeGateway(ctx context.Context, identity *rest.Config) (*replica.Replica, noise.PublicKey, error) {
	address, err := u.kubeletAddress()
	if err != nil {
		return nil, noise.PublicKey{}, err
	}
	r, err := replica.New(replica.Config{
		Kubernetes: identity, Name: "up", Exclusive: true /* its state is locked */, Addresses: []netip.Addr{address}, ListenHost: address.String(),
		Limits: u.limits.Limits, Logger: u.log,
	})
	if err != nil {
		return nil, noise.PublicKey{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	for err = r.Preflight(ctx); err != nil; err = r.Preflight(ctx) {
		if !pause(ctx, 200*time.Millisecond) {
			return nil, noise.PublicKey{}, err
		}
	}
	key, err := r.PublicKey(ctx)
	return r, key, err
}
