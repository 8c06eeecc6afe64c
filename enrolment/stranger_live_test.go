// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// The tests of this file look at all pending Devices, so they are not parallel and
// clean up first.
func (p *plane) deletePending(t *testing.T) {
	t.Helper()
	list, err := p.devices.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Items {
		if d.IsPending() {
			if err := p.devices.Delete(t.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStrangersCannotFillTheAPIServer: 60 boards come at once, from as many
// networks, and 5 become Devices.
func TestStrangersCannotFillTheAPIServer(t *testing.T) {
	p := livePlane(t)
	p.deletePending(t)
	g := p.gate(t, func(c *Config) { c.MaxPending = 5 })
	eventually(t, "none is pending", func() bool { return len(g.view.pending()) == 0 })
	g.evictions.allow("") // none gives way to another
	var mu sync.Mutex
	count := map[Reason]int{}
	var all sync.WaitGroup
	for range 60 {
		h := distantHello(t)
		all.Go(func() {
			_, err := g.decide(t, h)
			r, ok := errors.AsType[*Refusal](err)
			if !ok {
				t.Errorf("board %s: %v", h, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			count[r.Reason]++
		})
	}
	all.Wait()
	if count[Pending] == 0 || count[Pending] > 5 || count[Pending]+count[TooManyPending] != 60 {
		t.Errorf("refusals: %v", count)
	}
	for count[Pending] < 5 { // places that were reserved by two at a time
		g.refused(t, distantHello(t), Pending)
		count[Pending]++
	}
	r := g.refused(t, distantHello(t), TooManyPending)
	if !strings.Contains(r.Message, "kubectl pico list --pending") {
		t.Errorf("says %q", r.Message)
	}
	eventually(t, "5 are pending", func() bool { return p.countPending(t) == 5 })
	// A token is its own bound.
	g.admitted(t, helloWith(t, p.token(t, JoinToken{Uses: 1})))
}

// distantHello comes from a network of its own.
func distantHello(t *testing.T) Hello {
	h := newHello(t)
	n := serial.Add(1)
	h.Address = fmt.Sprintf("172.%d.%d.1", n>>8&255, n&255)
	return h
}

func (p *plane) countPending(t *testing.T) (n int) {
	t.Helper()
	list, err := p.devices.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list.Items {
		if d.IsPending() {
			n++
		}
	}
	return n
}

// TestPendingDevicesGiveWay: one network has its share of places, and a Device whose
// board is not there any more gives way to a newer one.
func TestPendingDevicesGiveWay(t *testing.T) {
	p := livePlane(t)
	p.deletePending(t)
	g := p.gate(t, func(c *Config) { c.MaxPending = 8 })
	eventually(t, "none is pending", func() bool { return len(g.view.pending()) == 0 })
	near := func(last int) Hello {
		h := newHello(t)
		h.Address = fmt.Sprintf("192.0.2.%d", last)
		return h
	}
	first, second := near(1), near(2)
	for _, h := range []Hello{first, second} {
		g.refused(t, h, Pending)
		p.has(t, h.Key.Name(), v1alpha1.Connected, metav1.ConditionFalse, Pending)
	}
	if got := p.device(t, first.Key.Name()).Annotations[networkAnnotation]; got != "192.0.2.0/24" {
		t.Errorf("discovered from %q", got)
	}
	g.evictions.allow("") // no board gives way that is there
	if r := g.refused(t, near(3), TooManyPending); !strings.Contains(r.Message, "2 from 192.0.2.0/24") {
		t.Errorf("says %q", r.Message)
	}
	g.refused(t, distantHello(t), Pending)

	g.clock.advance(g.idleTime() + time.Second)
	g.refused(t, second, Pending) // is there
	g.sees(t, second.Key.Name(), func(d *v1alpha1.Device) bool {
		return g.Enrolment.clock.now().Sub(lastContact(d)) < time.Minute
	})
	g.evictions.allow("")
	third := near(3)
	g.refused(t, third, Pending)
	p.has(t, third.Key.Name(), v1alpha1.Enrolled, metav1.ConditionFalse, Pending)
	p.has(t, third.Key.Name(), v1alpha1.Connected, metav1.ConditionFalse, Pending)
	if _, err := p.devices.Get(t.Context(), first.Key.Name(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Device that was left is there: %v", err)
	}
	p.device(t, second.Key.Name())
	g.refused(t, near(4), TooManyPending)
	g.clock.advance(evictionLimit.every)
	g.refused(t, near(4), Pending) // once in a while, even so
}

func TestStrangersFromOneAddress(t *testing.T) {
	p := livePlane(t)
	g := p.gate(t, nil)
	addr := newHello(t).Address
	for range strangerLimit.burst {
		h := newHello(t)
		h.Address = addr
		g.refused(t, h, Pending)
	}
	h := newHello(t)
	h.Address = addr
	g.refused(t, h, RateLimited)
	g.refused(t, newHello(t), Pending) // from elsewhere
	g.clock.advance(strangerLimit.every)
	g.refused(t, h, Pending)
}

// TestPendingDevicesAreForgotten: but not those that somebody made or changed.
func TestPendingDevicesAreForgotten(t *testing.T) {
	p := livePlane(t)
	p.deletePending(t)
	g := p.gate(t, nil)
	left, changed, alive, made := newHello(t), newHello(t), newHello(t), newHello(t)
	for _, h := range []Hello{left, changed, alive} {
		g.refused(t, h, Pending)
	}
	if _, err := p.devices.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: made.Key.Name()}, Spec: v1alpha1.DeviceSpec{PublicKey: made.Key.String(), NodeName: made.NodeName},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.set(t, changed.Key.Name(), `{"zone":"roof"}`)
	g.sees(t, changed.Key.Name(), func(d *v1alpha1.Device) bool { return d.Spec.Zone != "" })
	g.sees(t, made.Key.Name(), (*v1alpha1.Device).IsPending)

	g.clock.advance(40 * time.Minute)
	g.refused(t, alive, Pending)
	g.sees(t, alive.Key.Name(), func(d *v1alpha1.Device) bool { return d.Status.LastContact.After(time.Now().Add(30 * time.Minute)) })
	g.clock.advance(30 * time.Minute)
	for _, d := range g.view.all() {
		g.queue.Add(d.Name)
	}
	eventually(t, "one is forgotten", func() bool { return g.view.get(left.Key.Name()) == nil })
	for _, h := range []Hello{changed, alive, made} {
		again, err := g.reconcile(t.Context(), h.Key.Name())
		if err != nil || (again > 0) != (h.Key == alive.Key) {
			t.Errorf("looks again in %v: %v", again, err)
		}
		p.device(t, h.Key.Name())
	}
}

// TestDeniedDevicesExpire: 30 days after their boards came last, unless somebody made
// them, or had let them in.
func TestDeniedDevicesExpire(t *testing.T) {
	p := livePlane(t)
	g := p.gate(t, nil)
	left, alive, revoked := newHello(t), newHello(t), newHello(t)
	for _, h := range []Hello{left, alive, revoked} {
		g.refused(t, h, Pending)
	}
	p.set(t, revoked.Key.Name(), `{"approved":true}`)
	p.has(t, revoked.Key.Name(), v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	for h, reason := range map[Hello]Reason{left: Denied, alive: Denied, revoked: Revoked} {
		p.set(t, h.Key.Name(), `{"approved":false}`)
		p.has(t, h.Key.Name(), v1alpha1.Enrolled, metav1.ConditionFalse, reason)
	}
	g.clock.advance(deniedLifetime - time.Hour)
	g.refused(t, alive, Denied)
	g.sees(t, alive.Key.Name(), func(d *v1alpha1.Device) bool { return g.Enrolment.clock.now().Sub(lastContact(d)) < time.Hour })
	for _, h := range []Hello{left, alive, revoked} {
		if again, err := g.reconcile(t.Context(), h.Key.Name()); err != nil || (again > 0) != (h.Key != revoked.Key) {
			t.Errorf("looks again in %v: %v", again, err)
		}
	}
	g.clock.advance(time.Hour)
	for _, h := range []Hello{left, alive, revoked} {
		g.queue.Add(h.Key.Name())
	}
	eventually(t, "one is forgotten", func() bool { return g.view.get(left.Key.Name()) == nil })
	p.device(t, alive.Key.Name())
	p.device(t, revoked.Key.Name())
	g.refused(t, left, Pending)
}
