// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/picolet/picolet/api/v1alpha1"
)

// indexes of the informer's store.
const (
	byNode    = "node"    // approved Devices by node name
	byPending = "pending" // pending ones, all under one key
)

var indexers = cache.Indexers{
	byNode: func(obj any) ([]string, error) {
		if d, ok := obj.(*v1alpha1.Device); ok && d.IsApproved() && d.Spec.NodeName != "" {
			return []string{d.Spec.NodeName}, nil
		}
		return nil, nil
	},
	byPending: func(obj any) ([]string, error) {
		if d, ok := obj.(*v1alpha1.Device); ok && d.IsPending() {
			return []string{byPending}, nil
		}
		return nil, nil
	},
}

// view is what is known of the Devices: what the watch told, and over it what
// was written by ourselves and the watch did not tell yet. Devices in it are
// shared and not to be changed.
type view struct {
	store cache.Indexer

	mu    sync.Mutex
	fresh map[string]written
}

// written is what we wrote, and when.
type written struct {
	*v1alpha1.Device
	at time.Time
}

// maxLag is how long our own writes count before the watch has told of them. A
// Device that was deleted at once may never be told of.
const maxLag = time.Minute

func newView(store cache.Indexer) *view {
	return &view{store: store, fresh: make(map[string]written)}
}

// newer reports whether a is a later version than b, which may be nil.
func newer(a, b *v1alpha1.Device) bool {
	if b == nil || a.UID != b.UID {
		return true // as far as can be told
	}
	return older(b.ResourceVersion, a.ResourceVersion)
}

// wrote remembers what the API server answered to a write.
func (v *view) wrote(d *v1alpha1.Device, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.find(d.Name); old == nil || newer(d, old) {
		v.fresh[d.Name] = written{d, now}
	}
}

// told forgets what the watch has caught up with.
func (v *view) told(d *v1alpha1.Device) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f, ok := v.fresh[d.Name]; ok && !newer(f.Device, d) {
		delete(v.fresh, d.Name)
	}
}

// expire forgets what the watch should have told long ago.
func (v *view) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.fresh, func(_ string, f written) bool { return now.Sub(f.at) > maxLag })
}

// reset forgets all that the watch did not tell.
func (v *view) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.fresh)
}

// gone forgets a Device that was deleted.
func (v *view) gone(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.fresh, name)
}

// get returns a Device; nil if there is none.
func (v *view) get(name string) *v1alpha1.Device {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.find(name)
}

func (v *view) find(name string) *v1alpha1.Device {
	if f, ok := v.fresh[name]; ok {
		return f.Device
	}
	obj, ok, _ := v.store.GetByKey(name)
	if !ok {
		return nil
	}
	return obj.(*v1alpha1.Device)
}

// ofNode returns the approved Devices with that node name.
func (v *view) ofNode(node string) []*v1alpha1.Device {
	return v.index(byNode, node, func(d *v1alpha1.Device) bool { return d.IsApproved() && d.Spec.NodeName == node })
}

// pending returns the Devices that nobody decided on.
func (v *view) pending() []*v1alpha1.Device {
	return v.index(byPending, byPending, (*v1alpha1.Device).IsPending)
}

func (v *view) index(index, key string, is func(*v1alpha1.Device) bool) (found []*v1alpha1.Device) {
	v.mu.Lock()
	defer v.mu.Unlock()
	objs, _ := v.store.ByIndex(index, key)
	for _, obj := range objs {
		d := obj.(*v1alpha1.Device)
		if _, ok := v.fresh[d.Name]; !ok {
			found = append(found, d)
		}
	}
	for _, f := range v.fresh {
		if is(f.Device) {
			found = append(found, f.Device)
		}
	}
	return found
}

// all returns the Devices that the watch told of.
func (v *view) all() []*v1alpha1.Device {
	objs := v.store.List()
	list := make([]*v1alpha1.Device, 0, len(objs))
	for _, obj := range objs {
		list = append(list, obj.(*v1alpha1.Device))
	}
	return list
}
