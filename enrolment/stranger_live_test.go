// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

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
// addresses, and 5 become Devices.
func TestStrangersCannotFillTheAPIServer(t *testing.T) {
	p := livePlane(t)
	p.deletePending(t)
	g := p.gate(t, func(c *Config) { c.MaxPending = 5 })
	eventually(t, "none is pending", func() bool { return len(g.view.pending()) == 0 })
	var mu sync.Mutex
	count := map[Reason]int{}
	var all sync.WaitGroup
	for range 60 {
		h := newHello(t)
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
		g.refused(t, newHello(t), Pending)
		count[Pending]++
	}
	r := g.refused(t, newHello(t), TooManyPending)
	if !strings.Contains(r.Message, "kubectl pico list --pending") {
		t.Errorf("says %q", r.Message)
	}
	list, err := p.devices.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(g.view.pending()) != 5 {
		t.Errorf("%d devices, %d pending: %v", len(list.Items), len(g.view.pending()), err)
	}
	// A token is its own bound.
	g.admitted(t, helloWith(t, p.token(t, JoinToken{Uses: 1})))
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
