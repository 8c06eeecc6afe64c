// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

// refusalCase runs refusals for the board of Node pico-1.
type refusalCase struct {
	*refusals
	cluster *fake.Clientset
	log     *logs
	visit   *visit
	leave   context.CancelFunc
	mirror  atomic.Int64 // changes of the firmware's pod
	machine atomic.Bool  // enrollment has learned that the Node is a machine's
	stop    func()
}

// runRefusals starts one in a bubble; runtime is that of the Node, "none" for none.
func runRefusals(t *testing.T, containerRuntime string, pods ...runtime.Object) *refusalCase {
	t.Helper()
	c := &refusalCase{cluster: fake.NewClientset(pods...), log: new(logs)}
	if containerRuntime != "none" {
		node := aNode("u1")
		node.Status.NodeInfo.ContainerRuntimeVersion = containerRuntime
		must(t, c.cluster.Tracker().Add(node))
	}
	c.refusals = newRefusals(func(string) (kubernetes.Interface, error) { return c.cluster, nil }, c.log.logger())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }()
	var visiting context.Context
	visiting, c.leave = context.WithCancel(ctx)
	c.visit = &visit{ctx: visiting, node: "pico-1", pods: newBoundPods("pico-1"), sawRuntime: func(string) { c.machine.Store(true) }}
	c.stop = func() {
		cancel()
		must(t, <-ended)
	}
	return c
}

// follow has the board come, and waits until nothing is left to do.
func (c *refusalCase) follow() {
	c.add(c.visit, func() { c.mirror.Add(1) })
	synctest.Wait()
}

// asked is what was asked of the API server about pods, but lists and watches.
func (c *refusalCase) asked() (asked []string) {
	for _, a := range c.cluster.Actions() {
		if a.GetResource().Resource != "pods" || a.GetVerb() == "list" || a.GetVerb() == "watch" {
			continue
		}
		text := a.GetVerb() + " " + a.GetNamespace() + "/"
		switch a := a.(type) {
		case clienttesting.PatchAction:
			text += a.GetName() + "/" + a.GetSubresource() + " " + string(a.GetPatch())
		case clienttesting.DeleteAction:
			o := a.GetDeleteOptions()
			text += a.GetName() + " " + string(*o.Preconditions.UID) + " " + (time.Duration(*o.GracePeriodSeconds) * time.Second).String()
		}
		asked = append(asked, text)
	}
	return asked
}

func aPod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "plant", Name: "web", UID: "p1"},
		Spec:       corev1.PodSpec{NodeName: "pico-1"},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	if change != nil {
		change(p)
	}
	return p
}

const refusal = `patch plant/web/status {"metadata":{"uid":"p1"},"status":{"phase":"Failed","message":"Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 0, capacity: 0; a board runs its firmware only","reason":"OutOfpods"}}`

// TestPodsAreRefused: what becomes of a pod that is bound to a board's node.
func TestPodsAreRefused(t *testing.T) {
	t.Parallel()
	deleted := &metav1.Time{Time: booted}
	for name, tt := range map[string]struct {
		runtime string // of the Node
		pod     *corev1.Pod
		want    string // asked of the API server
		mirror  int64
	}{
		"pending":                  {"picolet://0.1.0", aPod(nil), refusal, 0},
		"no phase yet":             {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Status.Phase = "" }), refusal, 0},
		"running":                  {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), refusal, 0},
		"deleted":                  {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.DeletionTimestamp = deleted }), "delete plant/web p1 0s", 0},
		"failed":                   {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), "", 0},
		"succeeded":                {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), "", 0},
		"failed and deleted":       {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Status.Phase, p.DeletionTimestamp = corev1.PodFailed, deleted }), "delete plant/web p1 0s", 0},
		"kept by finalizers":       {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.DeletionTimestamp, p.DeletionGracePeriodSeconds = deleted, ptr.To[int64](0) }), "", 0},
		"mirror of no static pod":  {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }), "delete plant/web p1 0s", 0},
		"the firmware's":           {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Namespace, p.Name = "kube-system", "picolet-pico-1" }), "", 1},
		"another Node's firmware":  {"picolet://0.1.0", aPod(func(p *corev1.Pod) { p.Namespace, p.Name = "plant", "picolet-pico-1" }), strings.Replace(refusal, "web", "picolet-pico-1", 1), 0},
		"no Node":                  {"none", aPod(nil), "", 0},
		"no kubelet has reported":  {"", aPod(nil), "", 0},
		"another kubelet's":        {"containerd://2.1.0", aPod(nil), "", 0},
		"another kubelet's, ended": {"containerd://2.1.0", aPod(func(p *corev1.Pod) { p.DeletionTimestamp = deleted }), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := runRefusals(t, tt.runtime, tt.pod)
				defer c.stop()
				c.follow()
				if got := strings.Join(c.asked(), "\n"); got != tt.want || c.mirror.Load() != tt.mirror {
					t.Errorf("asked\n%s\nwant\n%s\nthe firmware's pod changed %d times", got, tt.want, c.mirror.Load())
				}
				if machine := strings.HasPrefix(tt.runtime, "containerd"); c.machine.Load() != machine {
					t.Errorf("machine %t, want %t", !machine, machine)
				}
				if c.log.lines("level=WARN") > 0 {
					t.Errorf("log:\n%s", c.log)
				}
			})
		})
	}
}

// TestPodsAreFollowed: a pod that comes later is refused at once, one that is gone is
// forgotten, and those of a node whose board has gone are left alone.
func TestPodsAreFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := runRefusals(t, "picolet://0.1.0")
		defer c.stop()
		c.follow()
		pods := c.cluster.CoreV1().Pods("plant")
		_, err := pods.Create(t.Context(), aPod(nil), metav1.CreateOptions{})
		must(t, err)
		synctest.Wait()
		if got := c.asked(); len(got) != 2 || got[1] != refusal {
			t.Errorf("asked %q", got)
		}
		if p := c.visit.pods.get(types.NamespacedName{Namespace: "plant", Name: "web"}); p == nil || !p.ended {
			t.Errorf("pod %+v", p)
		}
		must(t, pods.Delete(t.Context(), "web", metav1.DeleteOptions{}))
		synctest.Wait()
		if len(c.visit.pods.pods) != 0 {
			t.Errorf("pods %v", c.visit.pods.pods)
		}
		c.leave()
		c.remove(c.visit)
		c.cluster.ClearActions()
		_, err = pods.Create(t.Context(), aPod(nil), metav1.CreateOptions{})
		must(t, err)
		time.Sleep(time.Hour)
		if got := c.asked(); len(got) != 1 { // the test's own
			t.Errorf("asked %q", got)
		}
	})
}

// TestRefusalIsRetried: a failure is logged once and tried again with pauses, until
// the pod is refused; a Node that appears is waited for.
func TestRefusalIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := runRefusals(t, "none", aPod(nil))
		defer c.stop()
		var fail atomic.Bool
		fail.Store(true)
		c.cluster.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return fail.Load(), nil, errors.New("forbidden")
		})
		c.follow()
		time.Sleep(10 * time.Minute)
		if got := c.asked(); len(got) > 0 || c.log.lines("level=WARN") > 0 {
			t.Errorf("without a Node: asked %q, log\n%s", got, c.log)
		}
		node := aNode("u1")
		node.Status.NodeInfo.ContainerRuntimeVersion = "picolet://0.1.0"
		must(t, c.cluster.Tracker().Add(node))
		time.Sleep(10 * time.Minute)
		if got := c.asked(); len(got) < 8 || len(got) > 12 || c.log.lines("level=WARN", "deploy/enrolment.yaml", "node=pico-1") != 1 {
			t.Errorf("asked %d times in ten minutes, log\n%s", len(got), c.log)
		}
		fail.Store(false)
		c.cluster.ClearActions()
		time.Sleep(time.Hour)
		if got := c.asked(); !slices.Equal(got, []string{refusal}) {
			t.Errorf("asked %q", got)
		}
	})
}

// TestRefusalOfAnotherPod: one of the same name that has come meanwhile is no failure.
func TestRefusalOfAnotherPod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := runRefusals(t, "picolet://0.1.0", aPod(nil))
		defer c.stop()
		var tries atomic.Int64
		c.cluster.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			tries.Add(1)
			return true, nil, apierrors.NewConflict(corev1.Resource("pods"), "web", errors.New("another UID"))
		})
		c.follow()
		time.Sleep(time.Hour)
		if tries.Load() != 1 || c.log.lines("level=WARN") > 0 {
			t.Errorf("tried %d times, log\n%s", tries.Load(), c.log)
		}
	})
}

// TestPodsAreFollowedAgain: a watch that fails is logged once and made again with
// pauses.
func TestPodsAreFollowedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := runRefusals(t, "picolet://0.1.0")
		defer c.stop()
		var lists atomic.Int64
		c.cluster.PrependReactor("list", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if got := a.(clienttesting.ListAction).GetListRestrictions().Fields.String(); got != "spec.nodeName=pico-1" || a.GetNamespace() != "" {
				t.Errorf("list of %s in %q", got, a.GetNamespace())
			}
			lists.Add(1)
			return true, nil, errors.New("forbidden")
		})
		c.follow()
		time.Sleep(30 * time.Minute)
		if n := lists.Load(); n < 15 || n > 60 || c.log.lines("level=WARN") != 1 {
			t.Errorf("%d lists in half an hour, log\n%s", n, c.log)
		}
	})
}

// TestRefusalPatch: the patch has no null in it, which a merge would take for a
// deletion.
func TestRefusalPatch(t *testing.T) {
	t.Parallel()
	_, patch, _ := strings.Cut(refusal, " {")
	var object map[string]map[string]any
	must(t, json.Unmarshal([]byte("{"+patch), &object))
	for key, value := range object["status"] {
		if _, ok := value.(string); !ok {
			t.Errorf("%s: %v", key, value)
		}
	}
}
