// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// boundPod is as much of a pod that is bound to a board's node as a refusal needs.
type boundPod struct {
	types.NamespacedName
	uid      types.UID
	mirror   bool // says that it mirrors a static pod
	ended    bool // its phase is final
	deleting bool
	released bool // nothing but finalizers keeps it
}

// boundPods are the pods that are bound to one node, from a watch as that node, as a
// kubelet has it (pkg/kubelet/config/apiserver.go): the API server lets a node see no
// other pods, and the gateway itself sees none. A watch costs nothing while nothing
// happens; a list each minute would be a request per node, and find a pod half a
// minute late.
type boundPods struct {
	node    string
	changed func(types.NamespacedName) // a pod is to be looked at; it must not block
	failed  func(error)                // a list or a watch; nil: one went well

	mu   sync.Mutex
	pods map[types.NamespacedName]*boundPod
}

var _ cache.ReflectorStore = (*boundPods)(nil)

func newBoundPods(node string) *boundPods {
	return &boundPods{
		node: node, changed: func(types.NamespacedName) {}, failed: func(error) {},
		pods: make(map[types.NamespacedName]*boundPod),
	}
}

// get returns a pod, nil if it is not bound to the node or no longer there. Nobody
// may change it.
func (b *boundPods) get(name types.NamespacedName) *boundPod {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pods[name]
}

// Backoff of lists and watches that fail. Where a restart of the API server ends the
// watches of all boards, they return spread over the first step.
var followBackoff = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 1, Steps: 7, Cap: time.Minute}

// followReset is how long a watch must have lasted for the backoff to begin anew.
const followReset = 5 * time.Minute

// follow watches the pods until ctx ends.
func (b *boundPods) follow(ctx context.Context, pods coreclient.PodInterface) {
	silent := logr.Discard() // failures are logged by failed
	ctx = klog.NewContext(ctx, silent)
	backoff := followBackoff
	reflector := cache.NewReflectorWithOptions(b.source(pods), &corev1.Pod{}, b, cache.ReflectorOptions{
		Name: b.node, Logger: &silent, Backoff: &backoff,
	})
	again := backoff.DelayWithReset(clock.RealClock{}, followReset)
	_ = again.Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		_ = reflector.ListAndWatchWithContext(ctx)
		return false, nil
	})
}

// podSource lists and watches by plain list and watch: to stream a list of one or two
// objects (KEP-3157) saves nothing.
type podSource struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported tells the reflector not to stream lists.
func (podSource) IsWatchListSemanticsUnSupported() bool { return true }

func (b *boundPods) source(pods coreclient.PodInterface) podSource {
	selector := fields.OneTermEqualSelector("spec.nodeName", b.node).String()
	return podSource{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			list, err := pods.List(ctx, o)
			b.report(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			w, err := pods.Watch(ctx, o)
			b.report(err)
			return w, err
		},
	}}
}

func (b *boundPods) report(err error) {
	if !errors.Is(err, context.Canceled) {
		b.failed(err)
	}
}

// Add implements cache.ReflectorStore.
func (b *boundPods) Add(obj any) error { return b.Update(obj) }

// Update implements cache.ReflectorStore.
func (b *boundPods) Update(obj any) error {
	if pod, ok := obj.(*corev1.Pod); ok {
		b.set(pod)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (b *boundPods) Delete(obj any) error {
	if pod, ok := obj.(*corev1.Pod); ok {
		b.drop(nameOf(pod))
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (b *boundPods) Replace(list []any, _ string) error {
	b.mu.Lock()
	gone := b.pods
	b.pods = make(map[types.NamespacedName]*boundPod)
	b.mu.Unlock()
	for _, obj := range list {
		if pod, ok := obj.(*corev1.Pod); ok {
			delete(gone, nameOf(pod))
			b.set(pod)
		}
	}
	for name := range gone {
		b.drop(name)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (b *boundPods) Resync() error { return nil }

func (b *boundPods) set(pod *corev1.Pod) {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	p := &boundPod{
		NamespacedName: nameOf(pod), uid: pod.UID, mirror: mirror,
		ended:    pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded,
		deleting: pod.DeletionTimestamp != nil,
	}
	p.released = p.deleting && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
	b.mu.Lock()
	b.pods[p.NamespacedName] = p
	b.mu.Unlock()
	b.changed(p.NamespacedName)
}

func (b *boundPods) drop(name types.NamespacedName) {
	b.mu.Lock()
	delete(b.pods, name)
	b.mu.Unlock()
	b.changed(name)
}

func nameOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}
