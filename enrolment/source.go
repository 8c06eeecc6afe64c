// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/picolet/picolet/api/devices"
)

// older reports whether resourceVersion a is below b; nothing is below none.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// source lists and watches objects of one kind for an informer, and notices that
// the API server's store went back, as by the restore of an etcd snapshot. A watch
// does not show that: it waits until versions have caught up.
type source struct {
	inner    cache.ListWatch
	wentBack func() // called before such a list is passed on

	mu     sync.Mutex
	latest string // newest resourceVersion of a list or an event
	again  bool   // list, before anything else is watched
	stop   context.CancelFunc
}

// listWatch is the source for an informer. It lists plainly, not by a watch
// (KEP-3157), so that each list shows where the store is.
type listWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported tells the informer not to stream lists.
func (listWatch) IsWatchListSemanticsUnSupported() bool { return true }

func (s *source) listWatch() listWatch {
	return listWatch{&cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch}}
}

// list is always one of the store itself: another API server's cache may be older.
func (s *source) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.ResourceVersion, o.ResourceVersionMatch = "", ""
	list, err := s.inner.ListWithContextFunc(ctx, o)
	if err != nil {
		return nil, err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	back := older(m.GetResourceVersion(), s.latest)
	s.latest, s.again = m.GetResourceVersion(), false
	s.mu.Unlock()
	if back {
		s.wentBack()
	}
	return list, nil
}

func (s *source) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	ctx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	w, err := s.inner.WatchFuncWithContext(ctx, o)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, s.observe), nil
}

// begin gives a watch a context that relist ends.
func (s *source) begin(ctx context.Context) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again {
		return nil, apierrors.NewResourceExpired("the store went back")
	}
	if s.stop != nil {
		s.stop() // of the watch before, which has ended
	}
	ctx, s.stop = context.WithCancel(ctx)
	return ctx, nil
}

// observe notes how far the store is.
func (s *source) observe(e watch.Event) (watch.Event, bool) {
	if m, err := meta.Accessor(e.Object); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if older(s.latest, m.GetResourceVersion()) {
			s.latest = m.GetResourceVersion()
		}
	}
	return e, true
}

// relist ends the watch and has the informer list anew.
func (s *source) relist() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	if s.stop != nil {
		s.stop()
	}
}

func (e *Enrolment) deviceSource(client *devices.Client) *source {
	return &source{wentBack: e.restored, inner: cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, o)
		},
		WatchFuncWithContext: client.Watch,
	}}
}

// replicaSource is of the Leases of gateways, and no other.
func (e *Enrolment) replicaSource() *source {
	leases := e.client.CoordinationV1().Leases(e.config.Namespace)
	const selector = replicaLabel + "=" + replicaValue
	return &source{wentBack: func() {}, inner: cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return leases.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return leases.Watch(ctx, o)
		},
	}}
}

// relist reads all again, when this gateway's Lease went back.
func (e *Enrolment) relist() {
	e.deviceLists.relist()
	e.replicaLists.relist()
}

// restored takes back what was known to be newer than Devices that are about to be
// told: whatever they say now counts.
func (e *Enrolment) restored() {
	e.log.Warn("The API server's store went back, as by a restore: checking all devices again")
	e.view.reset()
	e.holds.forgetVersions()
	e.replicaLists.relist()
}
