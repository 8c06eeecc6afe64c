// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// A feed keeps the newest state of one ConfigMap, from one upstream list and
// watch. Boards are told states, not histories: who reads slowly misses the
// states between, and costs no memory.
type feed struct {
	key    feedKey
	cache  *configMapCache
	cancel context.CancelFunc

	// Guarded by the cache's lock.
	boards int
	linger *time.Timer

	mu     sync.Mutex
	state  *snapshot
	byNode map[string]*boardConn // on which a node's board watches
	latest string                // the newest resourceVersion known, from events, lists and bookmarks
	failed bool                  // the last upstream request failed; its error was logged

	forbiddenSince time.Time // zero: the last upstream request was allowed
}

var (
	_ cache.ReflectorStore         = (*feed)(nil)
	_ cache.ResourceVersionUpdater = (*feed)(nil)
)

func newFeed(c *configMapCache, key feedKey, cancel context.CancelFunc) *feed {
	return &feed{key: key, cache: c, cancel: cancel, state: &snapshot{next: make(chan struct{})}, byNode: make(map[string]*boardConn)}
}

// source lists and watches one ConfigMap by plain list and watch: to stream a
// list of one object (KEP-3157) saves nothing.
type source struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported tells the reflector not to stream lists.
func (source) IsWatchListSemanticsUnSupported() bool { return true }

// run follows the ConfigMap until ctx ends. It retries within 5 s, for boards
// wait on it. Errors are seen, and logged once, in observe.
func (f *feed) run(ctx context.Context) {
	silent := logr.Discard()
	ctx = klog.NewContext(ctx, silent)
	backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 5 * time.Second}
	reflector := cache.NewReflectorWithOptions(f.source(), &corev1.ConfigMap{}, f, cache.ReflectorOptions{
		Name: f.key.namespace + "/" + f.key.name, Logger: &silent, Backoff: &backoff,
	})
	again := backoff.DelayWithReset(clock.RealClock{}, time.Minute)
	_ = again.Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		_ = reflector.ListAndWatchWithContext(ctx)
		return false, nil
	})
}

func (f *feed) source() source {
	api := f.cache.client.ConfigMaps(f.key.namespace)
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, f.key.name).String()
	return source{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
			defer cancel()
			o.FieldSelector = selector
			list, err := api.List(ctx, o)
			f.observe(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			w, err := api.Watch(ctx, o)
			f.observe(err)
			return w, err
		},
	}}
}

// denialGrace is how long a ConfigMap that was readable stays served after the
// API server began to refuse it: one that has just started refuses everything
// until it has read its roles.
const denialGrace = 30 * time.Second

// observe takes the outcome of an upstream request. A ConfigMap that the gateway
// may not read any more is soon not served any more; every other trouble leaves
// the boards with what is known.
func (f *feed) observe(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		return
	}
	news := err != nil && !f.failed
	f.failed = err != nil
	if news {
		f.cache.lines.warn(f.cache.log, "Cannot read a ConfigMap for boards", "configmap", f.key.namespace+"/"+f.key.name, "err", err)
	}
	if apierrors.IsUnauthorized(err) {
		f.cache.doubt()
	}
	if !apierrors.IsForbidden(err) {
		f.forbiddenSince = time.Time{}
		return
	}
	if f.forbiddenSince.IsZero() {
		f.forbiddenSince = time.Now()
	}
	if !f.state.synced() || time.Since(f.forbiddenSince) >= denialGrace {
		f.latest = ""
		f.publish(&snapshot{denied: f.denial(), epoch: f.state.epoch + 1})
	}
}

// denial is written for the human who reads it in a board's log.
func (f *feed) denial() *refusal {
	role := "picolet-" + f.key.name
	return refuse(http.StatusForbidden, "configmap_denied",
		"the gateway may not read ConfigMap %[1]s/%[2]s; allow it: kubectl -n %[1]s create role %[3]s --verb=get,list,watch --resource=configmaps --resource-name=%[2]s && kubectl -n %[1]s create rolebinding %[3]s --role=%[3]s %[4]s",
		f.key.namespace, f.key.name, role, f.cache.subject())
}

// publish makes s the state and wakes every board. The lock is held.
func (f *feed) publish(s *snapshot) {
	s.next = make(chan struct{})
	close(f.state.next)
	f.state = s
}

// watchBegins notes that a node's board watches on conn, and returns the connection
// on which it did before; nil if it did not.
func (f *feed) watchBegins(node string, conn *boardConn) (older *boardConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	older, f.byNode[node] = f.byNode[node], conn
	return older
}

// watchEnds takes back watchBegins, unless another took conn's place.
func (f *feed) watchEnds(node string, conn *boardConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byNode[node] == conn {
		delete(f.byNode, node)
	}
}

// load returns the state, and the newest resourceVersion it is known to hold at.
func (f *feed) load() (s *snapshot, latest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.latest
}

// Add takes the object of an ADDED event.
func (f *feed) Add(obj any) error { return f.Update(obj) }

// Update takes the object of an ADDED or MODIFIED event.
func (f *feed) Update(obj any) error {
	return f.change(obj, func(now *corev1.ConfigMap) (*snapshot, error) {
		return f.state.withObject(now)
	})
}

// Delete takes the last state of a deleted object, whose resourceVersion is that
// of the deletion.
func (f *feed) Delete(obj any) error {
	return f.change(obj, func(last *corev1.ConfigMap) (*snapshot, error) {
		return f.state.withDeletion(last)
	})
}

func (f *feed) change(obj any, next func(*corev1.ConfigMap) (*snapshot, error)) error {
	cm, ok := obj.(*corev1.ConfigMap)
	if !ok || cm.Name != f.key.name || cm.Namespace != f.key.namespace {
		return fmt.Errorf("watch of ConfigMap %s/%s brought another object: %T", f.key.namespace, f.key.name, obj)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := next(cm)
	if err != nil {
		return err
	}
	f.publish(s)
	f.latest = cm.ResourceVersion
	return nil
}

// Replace takes a list, and the resourceVersion at which it is true.
func (f *feed) Replace(list []any, resourceVersion string) error {
	if len(list) > 0 {
		return f.change(list[0], func(now *corev1.ConfigMap) (*snapshot, error) {
			defer func() { f.latest = resourceVersion }()
			return f.base(resourceVersion).withObject(now)
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.base(resourceVersion).withAbsence(resourceVersion)
	if err != nil {
		return err
	}
	f.publish(s)
	f.latest = resourceVersion
	return nil
}

// base is the state that a list comes on top of: the current one, unless the
// API server's store went back, as one does that was made anew.
func (f *feed) base(resourceVersion string) *snapshot {
	if newer(f.latest, resourceVersion) {
		return &snapshot{epoch: f.state.epoch + 1}
	}
	return f.state
}

// Resync has nothing to do: there is no state but the one that boards read.
func (f *feed) Resync() error { return nil }

// UpdateResourceVersion takes the resourceVersion of each event and bookmark,
// after the event itself.
func (f *feed) UpdateResourceVersion(resourceVersion string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.synced() && newer(resourceVersion, f.latest) {
		f.latest = resourceVersion
	}
}
