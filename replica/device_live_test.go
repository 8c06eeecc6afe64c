// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// grant lets a node do without the taint, and have pods, as deploy/admission.yaml
// wants it of an administrator.
func (p *plane) grant(t testing.TB, node string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "grants-" + node}
	_, err := p.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"register-untainted", "host-pods"}, APIGroups: []string{"picolet.dev"}, Resources: []string{"devices"}, ResourceNames: []string{node},
	}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = p.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:node:" + node}},
	}, metav1.CreateOptions{})
	must(t, err)
}

func isBoardTaint(t corev1.Taint) bool { return t.Key == "picolet.dev/board" }

// TestDeviceDecidesOnTaintAndPods: noTaint counts when the node registers, room for
// pods at once.
func TestDeviceDecidesOnTaintAndPods(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	b := newBoard(t, p.start(t, nil))
	p.grant(t, b.name)
	n := p.join(t, b, `{"approved":true,"noTaint":true,"pods":2}`)
	if slices.ContainsFunc(n.Spec.Taints, isBoardTaint) || n.Status.Capacity.Pods().Value() != 2 || n.Status.Allocatable.Pods().Value() != 2 {
		t.Errorf("taints %v, room for %v pods, want none and 2", n.Spec.Taints, n.Status.Allocatable.Pods())
	}
	p.set(t, b.device, `{"noTaint":false,"pods":1}`)
	n = p.waitNode(t, b.name, func(n *corev1.Node) error {
		if pods := n.Status.Allocatable.Pods(); pods.Value() != 1 {
			return fmt.Errorf("room for %v pods", pods)
		}
		return nil
	})
	if slices.ContainsFunc(n.Spec.Taints, isBoardTaint) {
		t.Errorf("taints %v of a node that was there", n.Spec.Taints)
	}
}

// TestPortRangeExhausted: a node for which no kubelet port is left has no address but
// its name.
func TestPortRangeExhausted(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, func(c *Config) { c.LastPort = c.FirstPort })
	p.join(t, newBoard(t, r), `{"approved":true}`)
	n := p.join(t, newBoard(t, r), `{"approved":true}`)
	if want := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.Name}}; !slices.Equal(n.Status.Addresses, want) || portOf(n) != 0 {
		t.Errorf("addresses %v, port %d, want %v and none", n.Status.Addresses, portOf(n), want)
	}
}
