// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubelet"
)

// Many clusters run a DaemonSet that tolerates everything and selects
// kubernetes.io/os=linux. On a board that is registered so, as the reference
// has it, its pod stays Pending for ever; another value spares the board.
func TestDaemonSetAndTheLabelOS(t *testing.T) {
	t.Parallel()
	p, group := sharedPlane(t), unique("daemonset")
	boardOf := func(os string) *testBoard {
		return readyBoard(t, p, boardOptions{change: func(c *kubelet.Config) {
			c.OS = os
			// Keeps the DaemonSet off the boards of other tests.
			c.Labels = []kubelet.Label{{Key: "e2e.picolet.dev/group", Value: group}}
		}})
	}
	linux, picolet := boardOf("linux"), boardOf("picolet")
	p.runDaemonSet(t, group)

	var pods []corev1.Pod
	eventually(t, 30*time.Second, func(ctx context.Context) (err error) {
		pods, err = p.daemonSetPods(ctx, group)
		return err
	})
	nodes := make([]string, 0, len(pods))
	for i := range pods {
		nodes = append(nodes, meantFor(&pods[i]))
		if phase := pods[i].Status.Phase; phase != corev1.PodPending {
			t.Errorf("the pod of %s is %s, want Pending", nodes[i], phase)
		}
	}
	if !slices.Equal(nodes, []string{linux.name}) {
		t.Errorf("pods for the nodes %v, want one for %s and none for %s", nodes, linux.name, picolet.name)
	}
}

func (p *plane) runDaemonSet(t *testing.T, name string) {
	t.Helper()
	labels := map[string]string{"app": name}
	sets := p.client.AppsV1().DaemonSets(namespace)
	_, err := sets.Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{"kubernetes.io/os": "linux", "e2e.picolet.dev/group": name},
					Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:   []corev1.Container{{Name: "agent", Image: "example.com/agent"}},
				},
			},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := sets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// daemonSetPods returns the pods once the controller made all it wants and the
// scheduler found no room for them.
func (p *plane) daemonSetPods(ctx context.Context, name string) ([]corev1.Pod, error) {
	set, err := p.client.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	s := set.Status
	if s.ObservedGeneration != set.Generation || s.DesiredNumberScheduled == 0 || s.CurrentNumberScheduled != s.DesiredNumberScheduled {
		return nil, fmt.Errorf("the DaemonSet is not observed yet: %+v", s)
	}
	list, err := p.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if !isUnschedulable(&list.Items[i]) {
			return nil, errors.New("the scheduler has not looked at the pod yet")
		}
	}
	return list.Items, nil
}

func isUnschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
	})
}

// meantFor returns the node that the DaemonSet controller made a pod for.
func meantFor(pod *corev1.Pod) string {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return ""
	}
	required := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	for _, term := range required.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}
