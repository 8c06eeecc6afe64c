// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package staticpod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestPod(t *testing.T) {
	t.Parallel()
	started := time.Unix(1_700_000_000, 0)
	o := Options{Node: "pico-1", NodeUID: "u-1", Version: "v1", Address: "192.0.2.7", Started: started}
	p := New(o)
	if p.Name != "picolet-pico-1" || p.Namespace != "kube-system" || p.Spec.NodeName != "pico-1" || p.Spec.Containers[0].Name != Container {
		t.Errorf("pod %+v", p)
	}
	if !p.Status.StartTime.Time.Equal(started) || p.Status.PodIP != "192.0.2.7" || p.Status.Phase != corev1.PodRunning {
		t.Errorf("status %+v", p.Status)
	}
	if string(p.UID) != p.Annotations["kubernetes.io/config.hash"] || p.Annotations[corev1.MirrorPodAnnotationKey] != "" {
		t.Errorf("UID %s, annotations %v", p.UID, p.Annotations)
	}
}

// A mirror pod has what NodeRestriction asks for, and leaves the pod as it was.
func TestMirror(t *testing.T) {
	t.Parallel()
	p := New(Options{Node: "pico-1", NodeUID: "u-1"})
	m := Mirror(p)
	owner := m.OwnerReferences[0]
	if m.UID != "" || m.Annotations[corev1.MirrorPodAnnotationKey] != string(p.UID) ||
		owner.Kind != "Node" || owner.Name != "pico-1" || owner.UID != "u-1" || !*owner.Controller {
		t.Errorf("mirror pod %+v", m.ObjectMeta)
	}
	if p.Annotations[corev1.MirrorPodAnnotationKey] != "" || p.UID == "" {
		t.Errorf("the static pod was changed: %+v", p.ObjectMeta)
	}
}

// Another node, another Node of the same name, or another version is another
// pod; anything else is the same.
func TestHash(t *testing.T) {
	t.Parallel()
	base := Options{Node: "a", NodeUID: "u", Version: "v1"}
	for _, tt := range []struct {
		o    Options
		same bool
	}{
		{base, true},
		{Options{Node: "a", NodeUID: "u", Version: "v1", Address: "192.0.2.1", Started: time.Now()}, true},
		{Options{Node: "b", NodeUID: "u", Version: "v1"}, false},
		{Options{Node: "a", NodeUID: "w", Version: "v1"}, false},
		{Options{Node: "a", NodeUID: "u", Version: "v2"}, false},
	} {
		if same := New(tt.o).UID == New(base).UID; same != tt.same {
			t.Errorf("%+v: same UID %v, want %v", tt.o, same, tt.same)
		}
	}
}

func TestUnknownsAreLeftOut(t *testing.T) {
	t.Parallel()
	p := New(Options{Node: "pico-1"})
	if len(p.OwnerReferences) > 0 || p.Status.PodIP != "" || p.Status.StartTime != nil || p.Status.HostIPs != nil {
		t.Errorf("pod %+v", p)
	}
}
