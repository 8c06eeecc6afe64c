// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// TestRestoredStore: whatever a list says that went back counts, and each later
// version too; before it, a stale version cuts nobody.
func TestRestoredStore(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	at := func(version string, change func(*v1alpha1.Device)) *v1alpha1.Device {
		return changed(device(1, "a", true), func(d *v1alpha1.Device) { d.ResourceVersion = version; change(d) })
	}
	revoke := func(d *v1alpha1.Device) { d.Spec.Approved = ptr.To(false) }
	version := "100"
	e.deviceLists.inner.ListWithContextFunc = func(context.Context, metav1.ListOptions) (runtime.Object, error) {
		return &v1alpha1.DeviceList{ListMeta: metav1.ListMeta{ResourceVersion: version}}, nil
	}
	list := func() {
		if _, err := e.deviceLists.list(t.Context(), metav1.ListOptions{ResourceVersion: "0"}); err != nil {
			t.Fatal(err)
		}
	}
	list()
	h, r := e.take(at("100", func(*v1alpha1.Device) {}), Hello{})
	if r != nil {
		t.Fatal(r)
	}
	e.view.wrote(at("100", func(*v1alpha1.Device) {}), e.clock.mono())
	list() // again, at the same version
	e.changed(nil, at("60", revoke))
	if err := context.Cause(h.Context()); err != nil || len(e.view.fresh) != 1 {
		t.Fatalf("cut off by a stale version: %v", err)
	}
	version = "50"
	list()
	if len(e.view.fresh) != 0 {
		t.Error("what was written before the restore still counts")
	}
	e.changed(nil, at("50", func(*v1alpha1.Device) {}))
	if err := context.Cause(h.Context()); err != nil {
		t.Fatalf("cut off by the restore itself: %v", err)
	}
	e.changed(nil, at("60", revoke))
	if r, ok := errors.AsType[*Refusal](context.Cause(h.Context())); !ok || r.Reason != Revoked {
		t.Errorf("not cut off: %v", context.Cause(h.Context()))
	}
}

// TestSweepEndsHolds: a Hold ends by what the watch has told, even if that was told
// when it did not count.
func TestSweepEndsHolds(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	h, r := e.take(changed(device(1, "a", true), func(d *v1alpha1.Device) { d.ResourceVersion = "100" }), Hello{})
	if r != nil {
		t.Fatal(r)
	}
	if err := e.view.store.Add(changed(device(1, "a", false), func(d *v1alpha1.Device) { d.Spec.Approved = nil })); err != nil {
		t.Fatal(err)
	}
	if e.sweep(); h.Context().Err() != nil {
		t.Fatalf("cut off by a stale version: %v", context.Cause(h.Context()))
	}
	e.holds.forgetVersions()
	if e.sweep(); h.Context().Err() == nil {
		t.Error("not cut off")
	}
}

// TestSource: each list is of the store itself, a watch shows how far the store is,
// and relist ends it and allows no other before a list.
func TestSource(t *testing.T) {
	t.Parallel()
	var options []metav1.ListOptions
	var watching context.Context
	events, version, back := watch.NewFake(), "10", 0
	s := &source{wentBack: func() { back++ }, inner: cache.ListWatch{
		ListWithContextFunc: func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
			options = append(options, o)
			return &v1alpha1.DeviceList{ListMeta: metav1.ListMeta{ResourceVersion: version}}, nil
		},
		WatchFuncWithContext: func(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
			watching = ctx
			return events, nil
		},
	}}
	list := func(want int) {
		t.Helper()
		if _, err := s.list(t.Context(), metav1.ListOptions{ResourceVersion: "7", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}); err != nil || back != want {
			t.Errorf("list at %s: %v, went back %d times, want %d", version, err, back, want)
		}
	}
	list(0)
	w, err := s.watch(t.Context(), metav1.ListOptions{ResourceVersion: "10"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	go events.Modify(changed(device(1, "a", true), func(d *v1alpha1.Device) { d.ResourceVersion = "90" }))
	<-w.ResultChan()
	s.relist()
	if watching.Err() == nil {
		t.Error("the watch goes on")
	}
	if _, err := s.watch(t.Context(), metav1.ListOptions{}); !apierrors.IsResourceExpired(err) {
		t.Errorf("watched again: %v", err)
	}
	version = "80" // above the last list, below the last event
	list(1)
	if _, err := s.watch(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("not watched again: %v", err)
	}
	version = "81"
	list(1)
	for _, o := range options {
		if o.ResourceVersion != "" || o.ResourceVersionMatch != "" {
			t.Errorf("listed at version %q (%s)", o.ResourceVersion, o.ResourceVersionMatch)
		}
	}
}
