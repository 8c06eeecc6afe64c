// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A board without power is found out, and taken back when it boots.
func TestStoppedBoardTurnsNotReadyAndComesBack(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{})
	before := b.mustNode(t)

	b.powerOff(t)
	n := b.waitStatus(t, corev1.ConditionUnknown)
	if c := condition(n, corev1.NodeReady); c.Reason != "NodeStatusUnknown" {
		t.Errorf("Ready is Unknown by reason %s, want NodeStatusUnknown", c.Reason)
	}
	unreachable := func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeUnreachable }
	b.waitNode(t, 10*time.Second, func(n *corev1.Node) error {
		if !slices.ContainsFunc(n.Spec.Taints, unreachable) {
			return fmt.Errorf("taints %v, want %s among them", n.Spec.Taints, corev1.TaintNodeUnreachable)
		}
		return nil
	})

	b.powerOn(t)
	b.waitStatus(t, corev1.ConditionTrue)
	after := b.waitNode(t, 10*time.Second, func(n *corev1.Node) error {
		if slices.ContainsFunc(n.Spec.Taints, unreachable) {
			return fmt.Errorf("taints %v, want no %s", n.Spec.Taints, corev1.TaintNodeUnreachable)
		}
		return nil
	})
	if after.UID != before.UID || after.Status.NodeInfo.MachineID != before.Status.NodeInfo.MachineID {
		t.Errorf("the node is another one: %s, was %s", after.UID, before.UID)
	}
	if after.Status.NodeInfo.BootID == before.Status.NodeInfo.BootID {
		t.Errorf("boot ID %s after the boot and before it", after.Status.NodeInfo.BootID)
	}
	p.waitEvent(t, b.name, "DeviceRebooted", "power-on")
}

// The API server crashes and comes back, then the gateway is restarted: nobody
// who looks at the node notices.
func TestNodeStaysReadyOverRestarts(t *testing.T) {
	t.Parallel()
	p := ownPlane(t)
	g := ownGateway(t, p, gatewayAccount, keptAddress(t))
	b := readyBoard(t, p, boardOptions{gateway: g.addr})
	b.waitRenewals(t, 1)
	seen := b.watchReady(t)
	before := condition(b.mustNode(t), corev1.NodeReady)

	p.Kill()
	must(t, p.Restart(t.Context()))
	b.waitRenewals(t, 2)

	must(t, g.stop())
	ownGateway(t, p, gatewayAccount, g.addr)
	// Longer than the grace period: without these, the node would be NotReady.
	b.waitRenewals(t, 6)

	after := condition(b.mustNode(t), corev1.NodeReady)
	if !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("Ready flipped at %v, last before at %v", after.LastTransitionTime, before.LastTransitionTime)
	}
	seen.check(t, before.LastTransitionTime)
}

// readiness is what a client that always watches has seen of a node's Ready
// condition.
type readiness struct {
	mu    sync.Mutex
	seen  []corev1.NodeCondition
	other []string // deletions, nodes without the condition
}

// watchReady watches the node until the test ends.
func (b clusterNode) watchReady(t *testing.T) *readiness {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactoryWithOptions(b.plane.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", b.name).String()
	}))
	informer := factory.Core().V1().Nodes().Informer()
	r := new(readiness)
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    r.see,
		UpdateFunc: func(_, node any) { r.see(node) },
		DeleteFunc: func(node any) { r.miss(fmt.Sprintf("deleted: %v", node)) },
	})
	must(t, err)
	factory.Start(ctx.Done())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the watch of the node did not begin")
	}
	return r
}

func (r *readiness) see(node any) {
	n := node.(*corev1.Node)
	c := condition(n, corev1.NodeReady)
	if c == nil {
		r.miss(fmt.Sprintf("no condition Ready: %v", n.Status.Conditions))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, *c)
}

func (r *readiness) miss(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.other = append(r.other, what)
}

// check fails the test if the node was ever seen as anything but Ready since
// the given time.
func (r *readiness) check(t *testing.T, since metav1.Time) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 || len(r.other) > 0 {
		t.Errorf("the watch saw the node %d times, and %q", len(r.seen), r.other)
	}
	for _, c := range r.seen {
		if c.Status != corev1.ConditionTrue || !c.LastTransitionTime.Equal(&since) {
			t.Errorf("the node was seen as %v", c)
		}
	}
}
