// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNotTakenForNode: refusals of the API server's authorizers, told from those of its
// admission plugins and from those of others.
func TestNotTakenForNode(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		`nodes "pico-1" is forbidden: User "system:node:pico-1" cannot get resource "nodes" in API group "" at the cluster scope`:                                         true,
		`leases.coordination.k8s.io "pico-1" is forbidden: User "system:node:pico-1" cannot patch resource "leases"`:                                                      true,
		`nodes "pico-1" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/x`:                                                                         false,
		`nodes "pico-1" is forbidden: is not allowed to modify labels: a is forbidden: User "system:node:pico-1" cannot get`:                                              false,
		`nodes "pico-2" is forbidden: User "system:node:pico-2" cannot get resource "nodes" in API group "" at the cluster scope`:                                         false,
		`users "system:node:pico-1" is forbidden: User "system:serviceaccount:picolet-system:picolet-gateway" cannot impersonate resource "users" in API group "" at the`: false,
		``: false,
	} {
		if got := notTakenForNode(encodeJSON(metav1.Status{Message: message}), "pico-1"); got != want {
			t.Errorf("%q: %v", message, got)
		}
	}
	if notTakenForNode([]byte("garbage"), "pico-1") {
		t.Error("garbage")
	}
}
