// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.0/24", "::ffff:192.0.2.7": "192.0.2.0/24", "2001:db8::1": "2001:db8::/64",
		"2001:db8::ffff:1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "?": "?", "": "",
	} {
		if got := network(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// pendingWorld is an Enrolment whose view a test fills.
type pendingWorld struct {
	*Enrolment
	clock *testClock
	n     byte
}

func newPendingWorld(t *testing.T, most int) *pendingWorld {
	t.Helper()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", MaxPending: most, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	w := &pendingWorld{Enrolment: e, clock: new(testClock)}
	w.clock.drive(e)
	return w
}

// add makes a pending Device whose board came from an address some time ago.
func (w *pendingWorld) add(addr string, ago time.Duration) *v1alpha1.Device {
	w.n++
	d := changed(device(w.n, fmt.Sprintf("pico-%d", w.n), false), func(d *v1alpha1.Device) {
		d.Spec.Approved, d.Labels = nil, map[string]string{discoveredLabel: "true"}
		d.Annotations = map[string]string{networkAnnotation: network(addr)}
		d.CreationTimestamp = metav1.NewTime(w.Enrolment.clock.now().Add(-ago))
	})
	_ = w.view.store.Add(d)
	return d
}

// TestPlaces: which Device gives way to a new one.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const long, short = time.Hour, time.Second
	for name, tt := range map[string]struct {
		fill func(w *pendingWorld) (victim *v1alpha1.Device)
		full bool
	}{
		"room": {fill: func(w *pendingWorld) *v1alpha1.Device { w.add("192.0.2.1", long); return nil }},
		"share of one network": {fill: func(w *pendingWorld) *v1alpha1.Device {
			w.add("198.51.100.1", 2*long)
			w.add("192.0.2.1", long)
			return w.add("192.0.2.2", long+short)
		}},
		"all places: the network with most": {fill: func(w *pendingWorld) *v1alpha1.Device {
			w.add("198.51.100.1", 3*long)
			for i := range 5 {
				w.add(fmt.Sprintf("203.0.%d.1", i), 3*long)
			}
			w.add("192.0.3.2", long)
			return w.add("192.0.3.1", 2*long)
		}},
		"an administrator's own count for nothing": {fill: func(w *pendingWorld) *v1alpha1.Device {
			for range 20 {
				d := w.add("192.0.2.1", long)
				d.Labels = nil
			}
			return nil
		}},
		"one that somebody changed stays": {full: true, fill: func(w *pendingWorld) *v1alpha1.Device {
			for range 2 {
				w.add("192.0.2.1", long).Generation = 2
			}
			return nil
		}},
		"one whose board came last stays": {fill: func(w *pendingWorld) *v1alpha1.Device {
			w.add("192.0.2.1", 2*long).Status.LastContact = ptr.To(metav1.NewTime(w.Enrolment.clock.now()))
			return w.add("192.0.2.1", long)
		}},
	} {
		w := newPendingWorld(t, 8)
		want := tt.fill(w)
		victim, r := w.reserve("192.0.2.0/24")
		if victim != want || (reasonOf(r) == TooManyPending) != tt.full {
			t.Errorf("%s: %v gives way (%v), want %v", name, victim, r, want)
		}
	}
}

// TestPlacesAreTakenOnce: a place that is reserved counts, and a Device that is being
// deleted does not give way twice.
func TestPlacesAreTakenOnce(t *testing.T) {
	t.Parallel()
	const n = "192.0.2.0/24"
	w := newPendingWorld(t, 8)
	for range 2 {
		if victim, r := w.reserve(n); victim != nil || r != nil {
			t.Fatalf("%v gives way, %v", victim, r)
		}
	}
	if _, r := w.reserve(n); reasonOf(r) != TooManyPending {
		t.Errorf("a third place: %v", r)
	}
	w.leave(n)
	w.leave(n)
	a, b := w.add("192.0.2.1", 2*time.Hour), w.add("192.0.2.1", time.Hour)
	for _, want := range []*v1alpha1.Device{a, b} {
		if victim, r := w.reserve(n); victim != want || r != nil {
			t.Errorf("%v gives way, %v", victim, r)
		}
	}
	if _, r := w.reserve(n); reasonOf(r) != TooManyPending {
		t.Errorf("both are deleted already: %v", r)
	}
	_ = w.view.store.Delete(a)
	w.removed(a)
	w.leave(n)
	w.leave(n)
	if len(w.places.making) != 0 || len(w.places.evicted) != 1 {
		t.Errorf("left: %v, %v", w.places.making, w.places.evicted)
	}
}

// TestBoardsThatAreThereGiveWaySeldom: else two crowds would make and delete Devices
// all the time.
func TestBoardsThatAreThereGiveWaySeldom(t *testing.T) {
	t.Parallel()
	w := newPendingWorld(t, 8)
	gaveWay := 0
	for range 600 { // ten minutes
		w.clock.advance(time.Second)
		victim, r := w.reserve("192.0.2.0/24")
		if r != nil {
			continue
		}
		if victim != nil {
			gaveWay++
			_ = w.view.store.Delete(victim)
			w.removed(victim)
		}
		w.add("192.0.2.1", 0)
		w.leave("192.0.2.0/24")
	}
	if gaveWay < 9 || gaveWay > 11 || len(w.view.pending()) != 2 {
		t.Errorf("%d gave way, %d are there", gaveWay, len(w.view.pending()))
	}
}
