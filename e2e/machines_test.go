// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// machine stands for a machine with a real kubelet, since these tests run none: a Node
// whose lease is renewed, whose pods are reported as running as soon as they are bound,
// and are gone as soon as they are deleted. Nothing runs.
type machine struct {
	client kubernetes.Interface
	name   string
	pods   int // so far, for their addresses
}

// startMachine adds a machine in a zone until the test ends.
func (p *plane) startMachine(t *testing.T, name, zone string, number int) {
	t.Helper()
	m := &machine{client: p.client, name: name, pods: number << 8}
	room := corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("8Gi"), "pods": resource.MustParse("110")}
	_, err := p.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelTopologyZone: zone}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
			NodeInfo:   corev1.NodeSystemInfo{ContainerRuntimeVersion: "containerd://2.1.0", OperatingSystem: "linux"},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { wait.UntilWithContext(ctx, m.work, 100*time.Millisecond) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// work does what a kubelet does. What fails, because somebody else wrote, succeeds
// the next time.
func (m *machine) work(ctx context.Context) {
	m.renew(ctx)
	list, err := m.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + m.name})
	if err != nil {
		return
	}
	for i := range list.Items {
		switch pod := &list.Items[i]; {
		case pod.DeletionTimestamp != nil:
			_ = m.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		case pod.Status.Phase == corev1.PodPending:
			m.run(ctx, pod)
		}
	}
}

func (m *machine) renew(ctx context.Context) {
	leases := m.client.CoordinationV1().Leases("kube-node-lease")
	now := ptr.To(metav1.NowMicro())
	lease, err := leases.Get(ctx, m.name, metav1.GetOptions{})
	switch {
	case isNotFound(err):
		_, _ = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: m.name},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &m.name, LeaseDurationSeconds: ptr.To[int32](40), RenewTime: now},
		}, metav1.CreateOptions{})
	case err == nil && time.Since(lease.Spec.RenewTime.Time) > 10*time.Second:
		lease.Spec.RenewTime = now
		_, _ = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
}

// run reports that a pod runs and is ready.
func (m *machine) run(ctx context.Context, pod *corev1.Pod) {
	m.pods++
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIP = fmt.Sprintf("10.20.%d.%d", m.pods>>8, m.pods&0xff)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.StartTime = ptr.To(metav1.Now())
	for _, c := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, Ready: true, Started: ptr.To(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}
	_, _ = m.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}
