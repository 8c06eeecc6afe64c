// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

var booted = time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC)

// fakeFirmware is a board that answers, and a port that shows its pod.
type fakeFirmware struct {
	started time.Time
	err     error
	asked   int
	reports int
	shown   *corev1.Pod
}

func (f *fakeFirmware) Report(context.Context, string) error {
	f.reports++
	return f.err
}

func (f *fakeFirmware) Started(context.Context, string) (time.Time, error) {
	f.asked++
	return f.started, f.err
}

func (f *fakeFirmware) SetPod(_ string, pod *corev1.Pod) { f.shown = pod }

// mirrorCase is a cluster with, or without, the Node pico-1.
type mirrorCase struct {
	*mirrors
	firmware *fakeFirmware
	cluster  *fake.Clientset
	log      *logs
	visit    *visit
	leave    context.CancelFunc
}

func newMirrorCase(t *testing.T, objects ...runtime.Object) *mirrorCase {
	t.Helper()
	c := &mirrorCase{firmware: &fakeFirmware{started: booted}, cluster: fake.NewClientset(objects...), log: new(logs)}
	c.cluster.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.CreateAction).GetObject().(*corev1.Pod).Status = corev1.PodStatus{} // as an API server does
		return false, nil, nil
	})
	asNode := func(node string) (kubernetes.Interface, error) {
		if node != "pico-1" {
			return nil, fmt.Errorf("asked to act for %s", node)
		}
		return c.cluster, nil
	}
	c.mirrors = newMirrors(asNode, c.firmware, newSetup(nil).turns, c.log.logger())
	t.Cleanup(c.queue.ShutDown)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c.leave = cancel
	c.visit = &visit{ctx: ctx, node: "pico-1", version: "v1", address: netip.MustParseAddr("192.0.2.10"), pods: newBoundPods("pico-1")}
	return c
}

func aNode(uid types.UID) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "pico-1", UID: uid}}
}

// look takes one look and returns what was asked of the API server.
func (c *mirrorCase) look(t *testing.T, b *mirrored) (done bool, asked []string) {
	t.Helper()
	c.cluster.ClearActions()
	done, err := c.sync(t.Context(), b)
	must(t, err)
	for _, a := range c.cluster.Actions() {
		asked = append(asked, strings.Trim(a.GetVerb()+" "+a.GetResource().Resource+"/"+a.GetSubresource(), "/"))
	}
	return done, asked
}

func (c *mirrorCase) pod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := c.cluster.CoreV1().Pods(staticpod.Namespace).Get(t.Context(), "picolet-pico-1", metav1.GetOptions{})
	must(t, err)
	return pod
}

func TestMirrorFollowsTheFirmware(t *testing.T) {
	t.Parallel()
	c := newMirrorCase(t)
	b := &mirrored{visit: c.visit}
	for _, step := range []struct {
		what  string
		do    func()
		done  bool
		asked []string
	}{
		{"no Node yet", func() {}, false, []string{"get nodes"}},
		{"first", func() { must(t, c.cluster.Tracker().Add(aNode("u1"))) }, true, []string{"get nodes", "list pods", "create pods", "patch pods/status"}},
		{"nothing new", func() {}, true, []string{"get nodes", "list pods"}},
		{"another address", func() { c.visit.address = netip.MustParseAddr("192.0.2.11") }, true, []string{"get nodes", "list pods", "patch pods/status"}},
		{"update", func() { c.visit.version = "v2" }, true, []string{"get nodes", "list pods", "delete pods", "create pods", "patch pods/status"}},
		{"no Node any more", func() {
			must(t, c.cluster.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("nodes"), "", "pico-1"))
		}, false, []string{"get nodes"}},
		{"still none", func() {}, false, []string{"get nodes"}},
		{"another Node", func() { must(t, c.cluster.Tracker().Add(aNode("u2"))) }, true,
			[]string{"get nodes", "list pods", "delete pods", "create pods", "patch pods/status"}},
		{"being deleted", func() {
			pod := c.pod(t)
			pod.DeletionTimestamp = &metav1.Time{Time: booted}
			must(t, c.cluster.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), pod, pod.Namespace))
		}, true, []string{"get nodes", "list pods", "delete pods", "create pods", "patch pods/status"}},
	} {
		step.do()
		if done, asked := c.look(t, b); done != step.done || !slices.Equal(asked, step.asked) {
			t.Errorf("%s: done %v, asked %q, want %v, %q", step.what, done, asked, step.done, step.asked)
		}
	}
	pod := c.pod(t)
	if pod.OwnerReferences[0].UID != "u2" || pod.Spec.Containers[0].Image != "picolet.dev/firmware:v2" || pod.Status.PodIP != "192.0.2.11" ||
		!pod.Status.ContainerStatuses[0].State.Running.StartedAt.Time.Equal(booted) {
		t.Errorf("%+v", pod)
	}
	if c.firmware.reports != 1 {
		t.Errorf("the board was asked for %d reports, want one when its Node was deleted", c.firmware.reports)
	}
	if c.firmware.asked != 1 {
		t.Errorf("the board was asked %d times since when it runs", c.firmware.asked)
	}
	if c.firmware.shown.UID == "" || string(c.firmware.shown.UID) != pod.Annotations[corev1.MirrorPodAnnotationKey] {
		t.Errorf("the port shows another pod: %+v", c.firmware.shown)
	}
}

// TestMirrorWithoutTimeOfBoot: what the board does not know is left out, and asked
// for again.
func TestMirrorWithoutTimeOfBoot(t *testing.T) {
	t.Parallel()
	c := newMirrorCase(t, aNode("u1"))
	c.firmware.started, c.firmware.err = time.Time{}, errors.New("no answer")
	b := &mirrored{visit: c.visit}
	c.look(t, b)
	if s := c.pod(t).Status; s.StartTime != nil || !s.ContainerStatuses[0].State.Running.StartedAt.IsZero() {
		t.Errorf("%+v", s)
	}
	c.firmware.started, c.firmware.err = booted, nil
	c.look(t, b)
	if s := c.pod(t).Status; s.StartTime == nil || !s.StartTime.Time.Equal(booted) || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("%+v", s)
	}
}

func TestStatusPatch(t *testing.T) {
	t.Parallel()
	now := booted.Add(time.Hour)
	pod := func(started time.Time) *corev1.Pod {
		return staticpod.New(staticpod.Options{Node: "pico-1", NodeUID: "u1", Version: "v1", Address: "192.0.2.10", Started: started})
	}
	for name, tt := range map[string]struct {
		started  time.Time // as the board says now
		change   func(*corev1.PodStatus)
		want     string // in the patch; "": none
		restarts int32
	}{
		"the same":          {booted, func(*corev1.PodStatus) {}, "", 0},
		"a clock corrected": {booted.Add(3 * time.Second), func(*corev1.PodStatus) {}, "", 0},
		"time not known":    {time.Time{}, func(*corev1.PodStatus) {}, "", 0},
		"reboot":            {booted.Add(time.Minute), func(*corev1.PodStatus) {}, `"startedAt":"2026-02-28T10:01:00Z"`, 1},
		"node was lost": {booted, func(s *corev1.PodStatus) {
			i := slices.IndexFunc(s.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
			s.Conditions[i].Status = corev1.ConditionFalse
		}, `"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-02-28T11:00:00Z"`, 0},
		"condition of others": {booted, func(s *corev1.PodStatus) {
			s.Conditions = append(s.Conditions, corev1.PodCondition{Type: "example.com/seen", Status: corev1.ConditionTrue})
		}, "", 0},
		"lost its phase": {booted, func(s *corev1.PodStatus) { s.Phase = corev1.PodFailed }, `"phase":"Running"`, 0},
	} {
		have := pod(booted)
		tt.change(&have.Status)
		patch, err := statusPatch(have, pod(tt.started), now)
		if err != nil || (patch == nil) != (tt.want == "") || !strings.Contains(string(patch), tt.want) {
			t.Errorf("%s: %s, %v, want %s", name, patch, err, tt.want)
		}
		if got := containers(have.Status.ContainerStatuses, pod(tt.started).Status.ContainerStatuses)[0].RestartCount; got != tt.restarts {
			t.Errorf("%s: %d restarts, want %d", name, got, tt.restarts)
		}
	}
}

// TestMirrorsGoOn: a failure is logged once and tried again, with pauses; a board
// that has gone is looked at no more.
func TestMirrorsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newMirrorCase(t, aNode("u1"))
		var looks atomic.Int64
		var fail atomic.Bool
		fail.Store(true)
		c.cluster.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			looks.Add(1)
			return fail.Load(), nil, errors.New("forbidden")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		c.add(c.visit)
		pass := func(d time.Duration) (n int64) {
			before := looks.Load()
			time.Sleep(d) // of the bubble
			synctest.Wait()
			return looks.Load() - before
		}
		if n := pass(10 * time.Minute); n < 10 || n > 20 {
			t.Errorf("%d tries in 10 min", n)
		}
		if n := c.log.lines("level=WARN", "deploy/kubelet-port.yaml", "node=pico-1"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, c.log)
		}
		fail.Store(false)
		if n := pass(10 * time.Minute); n < 9 || n > 12 {
			t.Errorf("%d looks in 10 min", n)
		}
		c.remove(&visit{ctx: ctx, node: "pico-1"}) // an earlier one of the same board
		if n := pass(5 * time.Minute); n == 0 {
			t.Error("looked at no more")
		}
		c.leave()
		c.remove(c.visit)
		if n := pass(time.Hour); n != 0 {
			t.Errorf("%d looks at a board that has gone", n)
		}
		cancel()
		must(t, <-ended)
	})
}
