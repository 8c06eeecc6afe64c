// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// TestEnrolment is the life of a board, decided on by plain kubectl.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	name := h.Key.Name()

	r := g.refused(t, h, Pending)
	if !strings.Contains(r.Message, "kubectl pico approve "+name) {
		t.Errorf("pending: %s", r.Message)
	}
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, Pending)
	if said := p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, Pending); said != r.Message {
		t.Errorf("condition says %q", said)
	}
	p.event(t, name, Pending, "kubectl pico approve "+name)
	d := p.device(t, name)
	if d.Spec.PublicKey != h.Key.String() || d.Spec.NodeName != h.NodeName || d.Status.Board != h.BoardID ||
		d.Status.FirmwareVersion != h.Firmware || d.Status.Address != h.Address || d.Status.LastContact == nil {
		t.Errorf("pending device %+v", d)
	}

	p.set(t, name, `{"approved":true,"zone":"roof","labels":{"site":"north"},"taints":[{"key":"picolet.dev/board","effect":"NoSchedule"}]}`)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	hold := g.admitted(t, h)
	n := hold.Node()
	if n.Name != h.NodeName || n.Labels["site"] != "north" || n.Labels["topology.kubernetes.io/zone"] != "roof" || len(n.Taints) != 1 || hold.Device() != name {
		t.Errorf("node %+v of device %s", n, hold.Device())
	}
	p.has(t, name, v1alpha1.Connected, metav1.ConditionTrue, linkUp)
	if d := p.device(t, name); d.Status.Gateway != g.identity {
		t.Errorf("gateway %q", d.Status.Gateway)
	}

	p.set(t, name, `{"approved":false}`)
	t.Logf("cut off %v after kubectl had patched", cutOff(t, hold, Revoked))
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, Revoked)
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, linkEnded)
	g.refused(t, h, Revoked)
	p.event(t, name, Revoked, "kubectl pico approve "+name)
	if !strings.Contains(g.logs.String(), "reason=Revoked") {
		t.Errorf("not in the log:\n%s", g.logs)
	}

	p.set(t, name, `{"approved":true}`)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	g.sees(t, name, enrolled)
	hold = g.admitted(t, h)
	p.kubectl(t, "delete", "device", name)
	cutOff(t, hold, Deleted)
	g.refused(t, h, Pending) // it asks again, and is a stranger
}

// TestApprovedCondition: kubectl wait returns once a Device is approved, also if its
// board has never connected, may not be its node, or nobody knows of the node.
func TestApprovedCondition(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	waits := func(name string) {
		t.Helper()
		p.kubectl(t, "wait", "--for=condition=Approved", "device/"+name, "--timeout=20s")
	}
	git, second := newHello(t), newHello(t)
	waits(p.approved(t, g, git)) // as Git makes it
	p.has(t, git.Key.Name(), v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	second.NodeName = git.NodeName
	name := second.Key.Name()
	g.refused(t, second, Pending)
	p.has(t, name, v1alpha1.Approved, metav1.ConditionFalse, Pending)
	p.set(t, name, `{"approved":true}`)
	waits(name)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, NodeNameTaken)
	p.set(t, name, `{"approved":false}`)
	p.has(t, name, v1alpha1.Approved, metav1.ConditionFalse, Denied)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, Denied)
	d := p.device(t, name)
	if c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Approved); c.ObservedGeneration != d.Generation {
		t.Errorf("observed generation %d of %d", c.ObservedGeneration, d.Generation)
	}
}

// TestApprovedWithoutANode: the condition does not wait for an answer about the node.
func TestApprovedWithoutANode(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	d := device(1, "a", true)
	for _, r := range []*Refusal{nil, unavailable(d.Name, nil)} {
		if c, changed := e.approval(d); c.Status != metav1.ConditionTrue || !changed {
			t.Errorf("%+v, %v", c, changed)
		}
		if c, _ := e.enrollment(d, r); c == nil || c.Status != metav1.ConditionTrue {
			t.Errorf("%v: enrolled %+v", r, c)
		}
	}
	if c, changed := e.enrollment(device(1, "a", false), unavailable(d.Name, nil)); c != nil || changed {
		t.Errorf("enrolled %+v", c)
	}
}

func TestDeniedBoardIsRefused(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	g.refused(t, h, Pending)
	p.set(t, h.Key.Name(), `{"approved":false}`)
	p.has(t, h.Key.Name(), v1alpha1.Enrolled, metav1.ConditionFalse, Denied)
	g.sees(t, h.Key.Name(), func(d *v1alpha1.Device) bool { return !d.IsPending() })
	g.refused(t, h, Denied)
}

func TestBoardThatCallsItselfOtherwise(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	name := p.approved(t, g, h)
	other := h
	other.NodeName += "-x"
	g.refused(t, other, NodeNameMismatch)
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, NodeNameMismatch)

	hold := g.admitted(t, h)
	p.set(t, name, `{"nodeName":"`+other.NodeName+`"}`)
	cutOff(t, hold, NodeNameMismatch)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	g.admitted(t, other)
}

// TestNodeNameOfAnotherDevice: who was enrolled first keeps the name, whichever
// Device is older.
func TestNodeNameOfAnotherDevice(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	first, second := newHello(t), newHello(t)
	second.NodeName = first.NodeName
	g.refused(t, second, Pending) // older, but not approved
	p.approved(t, g, first)
	p.has(t, first.Key.Name(), v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	p.set(t, second.Key.Name(), `{"approved":true}`)
	said := p.has(t, second.Key.Name(), v1alpha1.Enrolled, metav1.ConditionFalse, NodeNameTaken)
	if !strings.Contains(said, first.Key.Name()) || !strings.Contains(said, "kubectl pico revoke "+first.Key.Name()) {
		t.Errorf("condition says %q", said)
	}
	g.sees(t, second.Key.Name(), (*v1alpha1.Device).IsApproved)
	g.refused(t, second, NodeNameTaken)
	hold := g.admitted(t, first)
	p.event(t, second.Key.Name(), NodeNameTaken, "kubectl pico")

	p.set(t, first.Key.Name(), `{"approved":false}`)
	cutOff(t, hold, Revoked)
	p.has(t, second.Key.Name(), v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	g.admitted(t, second)
}

func TestNodeThatIsNoBoard(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	nodes := p.client.CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: h.NodeName}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.kubectl(t, "patch", "node", h.NodeName, "--subresource=status", "--type=merge", "--patch", `{"status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`)
	name := p.approved(t, g, h)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, NodeNotABoard)
	g.refused(t, h, NodeNotABoard)
	if err := nodes.Delete(t.Context(), h.NodeName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.clock.advance(time.Minute) // past the limits
	eventually(t, "the name is free", func() bool { _, err := g.decide(t, h); return err == nil })
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
}

// TestMachineRegistersUnderABoardsName: a linked board is cut off as soon as its Node
// is seen to be a machine's, and one that is enrolled gets no link.
func TestMachineRegistersUnderABoardsName(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	nodes := p.client.CoreV1().Nodes()
	h := newHello(t)
	name := p.approved(t, g, h)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	hold := g.admitted(t, h)
	hold.SawRuntime("picolet://v1")
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: h.NodeName}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	hold.SawRuntime("")
	if err := hold.Context().Err(); err != nil {
		t.Fatalf("cut off without a reason: %v", context.Cause(hold.Context()))
	}
	p.kubectl(t, "patch", "node", h.NodeName, "--subresource=status", "--type=merge", "--patch", `{"status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`)
	hold.SawRuntime("containerd://2.1.0")
	cutOff(t, hold, NodeNotABoard)
	said := p.has(t, name, v1alpha1.Enrolled, metav1.ConditionFalse, NodeNotABoard)
	if !strings.Contains(said, "node "+h.NodeName+" is another machine") {
		t.Errorf("condition says %q", said)
	}
	p.event(t, name, NodeNotABoard, "kubectl pico approve "+name)
	g.refused(t, h, NodeNotABoard)

	other := newHello(t)
	otherName := p.approved(t, g, other)
	p.has(t, otherName, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: other.NodeName}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.kubectl(t, "patch", "node", other.NodeName, "--subresource=status", "--type=merge", "--patch", `{"status":{"nodeInfo":{"containerRuntimeVersion":"containerd://2.1.0"}}}`)
	g.refused(t, other, NodeNotABoard)
	p.has(t, otherName, v1alpha1.Enrolled, metav1.ConditionFalse, NodeNotABoard)
}

func TestSecondBoardWithTheSameKey(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	name := p.approved(t, g, h)
	first := g.admitted(t, h)
	g.refused(t, h, KeyInUse)
	p.event(t, name, KeyInUse, "kubectl pico revoke "+name)
	if err := first.Context().Err(); err != nil {
		t.Fatalf("the first board was cut off: %v", err)
	}
	g.clock.advance(silence + time.Second)
	g.sweep()
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, boardSilent)
	second := g.admitted(t, h)
	cutOff(t, first, TakenOver)
	first.Release() // late, and of no effect
	p.has(t, name, v1alpha1.Connected, metav1.ConditionTrue, linkUp)
	second.Release()
	second.Release()
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, linkEnded)
}

func TestLastContactIsKept(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	name := p.approved(t, g, h)
	hold := g.admitted(t, h)
	p.has(t, name, v1alpha1.Connected, metav1.ConditionTrue, linkUp)
	before := p.device(t, name)
	g.clock.advance(2 * time.Minute)
	hold.Heard()
	g.sweep()
	g.clock.advance(4 * time.Minute)
	hold.Heard()
	g.sweep()
	eventually(t, "lastContact moves on", func() bool {
		return p.device(t, name).Status.LastContact.Sub(before.Status.LastContact.Time) >= 6*time.Minute
	})
	if got := p.device(t, name); got.Generation != before.Generation {
		t.Errorf("the spec was written: %+v", got)
	}
}

// TestOtherGatewayHasTheBoard: a board that another gateway has is refused as long
// as that gateway lives, and not longer.
func TestOtherGatewayHasTheBoard(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	a, b := p.gate(t, nil), p.gate(t, nil)
	h := newHello(t)
	name := p.approved(t, a, h)
	hold := a.admitted(t, h)
	b.sees(t, name, connected)
	eventually(t, "the gateways see one another", func() bool { return b.replicas.standing(a.identity) == live })
	b.refused(t, h, KeyInUse)
	a.stop()
	cutOff(t, hold, Unavailable)
	eventually(t, "the gateway's end is seen", func() bool { return b.gone(t.Context(), a.identity) })
	b.sweep()
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, gatewayGone)
	b.admitted(t, h)
	if d := p.device(t, name); d.Status.Gateway != b.identity {
		t.Errorf("gateway %q", d.Status.Gateway)
	}
}

// TestGatewayThatCrashed leaves its Lease behind.
func TestGatewayThatCrashed(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	name := p.approved(t, g, h)
	crashed := newIdentity(unique("crashed"))
	renewed := metav1.NewMicroTime(time.Now())
	_, err := p.client.CoordinationV1().Leases(DefaultNamespace).Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + nameOf(crashed), Labels: map[string]string{replicaLabel: replicaValue}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &crashed, RenewTime: &renewed},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	p.kubectl(t, "patch", "device", name, "--subresource=status", "--type=merge", "--patch",
		`{"status":{"gateway":"`+crashed+`","conditions":[{"type":"Enrolled","status":"True","reason":"Approved","message":"","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"Connected","status":"True","reason":"LinkUp","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
	g.sees(t, name, connected)
	eventually(t, "the Lease is seen", func() bool { return g.replicas.standing(crashed) == live })
	g.refused(t, h, KeyInUse)
	g.replicas.missed(crashed)
	g.admitted(t, h)
}

// missed has a process miss as many renewals as it takes to be gone. That of all others
// counts on: gateways of other tests are among them.
func (r *replicas) missed(identity string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.seen[leasePrefix+nameOf(identity)]
	last.own -= missedRenewals
	r.seen[leasePrefix+nameOf(identity)] = last
}

// TestTwoGatewaysRaceForABoard: with the same key at both in the same moment, one
// has it.
func TestTwoGatewaysRaceForABoard(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	a, b := p.gate(t, nil), p.gate(t, nil)
	for range 10 {
		h := newHello(t)
		name := p.approved(t, a, h)
		b.sees(t, name, func(*v1alpha1.Device) bool { return true })
		var holds [2]*Hold
		var both sync.WaitGroup
		for i, g := range []*gate{a, b} {
			both.Go(func() { holds[i], _ = g.decide(t, h) })
		}
		both.Wait()
		if (holds[0] == nil) == (holds[1] == nil) {
			t.Fatalf("%s: holds %v\n%s%s", name, holds, a.logs.about(name), b.logs.about(name))
		}
	}
}

func TestBadHello(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, func(c *Config) { c.NodeNames = []string{"pico-*", "valve-?"} })
	for name, tt := range map[string]struct {
		change func(*Hello)
		want   Reason
	}{
		"no node name":      {func(h *Hello) { h.NodeName = "" }, BadHello},
		"no DNS name":       {func(h *Hello) { h.NodeName = "Pico_1" }, BadHello},
		"path":              {func(h *Hello) { h.NodeName = "../pico" }, BadHello},
		"long":              {func(h *Hello) { h.NodeName = "pico-" + strings.Repeat("x", 59) }, BadHello},
		"board id":          {func(h *Hello) { h.BoardID = "a\x1b[31m" }, BadHello},
		"no board id":       {func(h *Hello) { h.BoardID = "" }, BadHello},
		"long version":      {func(h *Hello) { h.Firmware = strings.Repeat("1", 65) }, BadHello},
		"no key":            {func(h *Hello) { h.Key = v1alpha1.Key{} }, BadHello},
		"name for no board": {func(h *Hello) { h.NodeName = "worker-1" }, NodeNameRefused},
	} {
		h := newHello(t)
		tt.change(&h)
		g.refused(t, h, tt.want)
		if _, err := p.devices.Get(t.Context(), h.Key.Name(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: a Device was made: %v", name, err)
		}
	}
}
