// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterNode is the node of a board, as its cluster shows it.
type clusterNode struct {
	plane *plane
	name  string
}

func (b clusterNode) deleteNode(tb testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-b.plane.Done(): // its nodes are gone with it
		return
	default:
	}
	if err := b.plane.client.CoreV1().Nodes().Delete(ctx, b.name, metav1.DeleteOptions{}); err != nil && !isNotFound(err) {
		tb.Errorf("deleting node %s: %v", b.name, err)
	}
}

func (b clusterNode) node(ctx context.Context) (*corev1.Node, error) {
	return b.plane.client.CoreV1().Nodes().Get(ctx, b.name, metav1.GetOptions{})
}

func (b clusterNode) mustNode(tb testing.TB) *corev1.Node {
	tb.Helper()
	n, err := b.node(tb.Context())
	must(tb, err)
	return n
}

// waitNode waits until the node is as check has it.
func (b clusterNode) waitNode(tb testing.TB, limit time.Duration, check func(*corev1.Node) error) *corev1.Node {
	tb.Helper()
	var n *corev1.Node
	eventually(tb, limit, func(ctx context.Context) (err error) {
		if n, err = b.node(ctx); err != nil {
			return err
		}
		return check(n)
	})
	return n
}

// condition returns a condition of a node, nil where it has none.
func condition(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == t {
			return c
		}
	}
	return nil
}
