// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The tests in this file demand what Kubernetes' own conformance test of node
// leases does (test/e2e/common/node/node_lease.go, Kubernetes 1.37).

// leaseDuration is that of a node's lease, unless configured otherwise.
const leaseDuration = 40 * time.Second

func (b clusterNode) lease(ctx context.Context) (*coordinationv1.Lease, error) {
	return b.plane.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, b.name, metav1.GetOptions{})
}

// waitLease waits until there is a lease.
func (b clusterNode) waitLease(tb testing.TB) (lease *coordinationv1.Lease) {
	tb.Helper()
	eventually(tb, 10*time.Second, func(ctx context.Context) (err error) {
		lease, err = b.lease(ctx)
		return err
	})
	return lease
}

// waitRenewals waits until the lease was renewed n times, each within its
// duration.
func (b clusterNode) waitRenewals(tb testing.TB, n int) {
	tb.Helper()
	last := b.waitLease(tb)
	for range n {
		last = b.waitRenewed(tb, last)
	}
}

// waitRenewed waits until the lease was renewed since last, within its duration.
func (b clusterNode) waitRenewed(tb testing.TB, last *coordinationv1.Lease) (lease *coordinationv1.Lease) {
	tb.Helper()
	eventually(tb, leaseDuration, func(ctx context.Context) (err error) {
		if lease, err = b.lease(ctx); err == nil && !last.Spec.RenewTime.Before(lease.Spec.RenewTime) {
			err = fmt.Errorf("renewTime of the lease is %v, was %v", lease.Spec.RenewTime, last.Spec.RenewTime)
		}
		return err
	})
	return lease
}

// checkOwner checks that a lease has its node, and nothing else, as owner.
func checkOwner(l *coordinationv1.Lease, n *corev1.Node) error {
	if len(l.OwnerReferences) != 1 {
		return fmt.Errorf("the lease has the owners %v, want its node alone", l.OwnerReferences)
	}
	if o := l.OwnerReferences[0]; o.APIVersion != "v1" || o.Kind != "Node" || o.Name != n.Name || o.UID != n.UID {
		return fmt.Errorf("the lease is owned by %v, want node %s with UID %s", o, n.Name, n.UID)
	}
	return nil
}

func checkHolder(l *coordinationv1.Lease) error {
	s := l.Spec
	switch {
	case s.HolderIdentity == nil || *s.HolderIdentity != l.Name:
		return fmt.Errorf("the lease of %s is held by %v", l.Name, s.HolderIdentity)
	case s.LeaseDurationSeconds == nil || *s.LeaseDurationSeconds != int32(leaseDuration.Seconds()):
		return fmt.Errorf("the lease lasts %v, want %v", s.LeaseDurationSeconds, leaseDuration)
	case s.RenewTime == nil:
		return errors.New("the lease has no renewTime")
	}
	return nil
}

func TestNodeHoldsALeaseAndRenewsIt(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{})
	check := func(ctx context.Context) error {
		lease, err := b.lease(ctx)
		if err != nil {
			return err
		}
		return errors.Join(checkHolder(lease), checkOwner(lease, b.mustNode(t)))
	}
	eventually(t, 10*time.Second, check)
	b.waitRenewals(t, 2)
	must(t, check(t.Context()))
}

// While nothing changes, a lease alone keeps a node Ready: its status is not
// written for longer than the lease lasts, although the sensors move.
func TestStatusIsWrittenSeldom(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{})
	b.waitRenewals(t, 1) // by then, what followed the registration is over
	before, began := b.mustNode(t), time.Now()
	for time.Since(began) <= leaseDuration {
		b.waitRenewals(t, 1)
	}
	after := b.mustNode(t)
	if !equality.Semantic.DeepEqual(after.Status, before.Status) {
		t.Errorf("the status was written within %v:\n%v\nwas\n%v", time.Since(began), after.Status, before.Status)
	}
	if c := condition(after, corev1.NodeReady); c.Status != corev1.ConditionTrue {
		t.Errorf("the node is %v", c)
	}
}
