// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package staticpod makes the pod that stands for a board's firmware, so that
// kubectl logs and exec have something to name. It talks to nobody, and claims
// nothing of the board but its name, its version and since when it runs.
package staticpod

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// What the pod of every node has.
const (
	Namespace = metav1.NamespaceSystem
	Container = "firmware"
)

// Annotations of static pods (pkg/kubelet/types/pod_update.go and
// k8s.io/api/core/v1, MirrorPodAnnotationKey).
const (
	sourceAnnotation = "kubernetes.io/config.source"
	hashAnnotation   = "kubernetes.io/config.hash"
)

// imagePrefix names what nobody can pull: the firmware is flashed.
const imagePrefix = "picolet.dev/firmware:"

// Name is the name of the pod of a node.
func Name(node string) string { return "picolet-" + node }

// Options say whose firmware the pod stands for.
type Options struct {
	Node    string    // Required: name of the node
	NodeUID types.UID // Optional [no owner, so that the pod cannot be mirrored]
	Version string    // Optional ["unknown"]: of the firmware
	Address string    // Optional [not told]: IP address of the node
	Started time.Time // Optional [not told]: when the board booted
}

// New returns the pod as a kubelet's /pods lists it.
func New(o Options) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        Name(o.Node),
			Namespace:   Namespace,
			Labels:      map[string]string{"app.kubernetes.io/name": "picolet", "app.kubernetes.io/component": Container},
			Annotations: map[string]string{sourceAnnotation: "file"},
		},
		Spec: spec(o),
	}
	if o.NodeUID != "" {
		p.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: o.Node, UID: o.NodeUID, Controller: ptr.To(true),
		}}
	}
	hash := hashOf(o)
	p.Annotations[hashAnnotation] = hash
	p.UID = types.UID(hash)
	p.Status = status(o)
	return p
}

// Mirror returns the pod as the node creates it in the API server, so that the
// cluster can see it: of a static pod, NodeRestriction lets a node create
// nothing else (plugin/pkg/admission/noderestriction).
func Mirror(pod *corev1.Pod) *corev1.Pod {
	m := pod.DeepCopy()
	m.UID = ""
	m.Annotations[corev1.MirrorPodAnnotationKey] = m.Annotations[hashAnnotation]
	return m
}

// hashOf changes with whatever makes it another pod.
func hashOf(o Options) string {
	sum := sha256.Sum256([]byte(o.Node + "\x00" + string(o.NodeUID) + "\x00" + o.Version))
	return hex.EncodeToString(sum[:16])
}

// spec asks for nothing: the firmware is there already, and may not be evicted.
func spec(o Options) corev1.PodSpec {
	return corev1.PodSpec{
		NodeName:           o.Node,
		HostNetwork:        true,
		PriorityClassName:  "system-node-critical",
		Priority:           ptr.To[int32](2_000_001_000), // of that class; admission checks it
		RestartPolicy:      corev1.RestartPolicyAlways,
		EnableServiceLinks: ptr.To(false),
		Tolerations:        []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		Containers: []corev1.Container{{
			Name:                     Container,
			Image:                    imagePrefix + cmp.Or(o.Version, "unknown"),
			ImagePullPolicy:          corev1.PullNever,
			TerminationMessagePath:   corev1.TerminationMessagePathDefault,
			TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		}},
	}
}

// status is that of firmware that runs. Whether its board is there is told by
// the node's conditions: with a node that is lost, its pods are too.
func status(o Options) corev1.PodStatus {
	s := corev1.PodStatus{Phase: corev1.PodRunning, HostIP: o.Address, PodIP: o.Address}
	running := &corev1.ContainerStateRunning{}
	if o.Address != "" {
		s.HostIPs = []corev1.HostIP{{IP: o.Address}}
		s.PodIPs = []corev1.PodIP{{IP: o.Address}}
	}
	started := metav1.NewTime(o.Started)
	if !o.Started.IsZero() {
		s.StartTime, running.StartedAt = &started, started
	}
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	s.ContainerStatuses = []corev1.ContainerStatus{{
		Name:    Container,
		Image:   imagePrefix + cmp.Or(o.Version, "unknown"),
		Ready:   true,
		Started: ptr.To(true),
		State:   corev1.ContainerState{Running: running},
	}}
	return s
}
