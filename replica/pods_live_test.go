// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// namespace makes one that is the test's own.
func (p *plane) namespace(t testing.TB) string {
	t.Helper()
	name := unique("plant")
	_, err := p.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, 30*time.Second, func() error { // without it no pod is admitted
		_, err := p.client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return name
}

// bind creates a pod that names its node.
func (p *plane) bind(t testing.TB, namespace, name, node string) {
	t.Helper()
	_, err := p.client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "registry.example/none"}}},
	}, metav1.CreateOptions{})
	must(t, err)
}

func isRefused(pod *corev1.Pod) error {
	if s := pod.Status; s.Phase != corev1.PodFailed || s.Reason != "OutOfpods" || s.Message != refusedMessage {
		return fmt.Errorf("pod %s: phase %q, reason %q, %q", pod.Name, s.Phase, s.Reason, s.Message)
	}
	return nil
}

// waitRefused waits until a pod that matches is refused, for as long as a kubelet
// would take.
func (p *plane) waitRefused(t testing.TB, namespace string) {
	t.Helper()
	eventually(t, 5*time.Second, func() error {
		list, err := p.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) == 0 {
			return errors.New("no pod")
		}
		for i := range list.Items {
			err = errors.Join(err, isRefused(&list.Items[i]))
		}
		return err
	})
}

// goes checks that the API server soon has no such object.
func goes(t testing.TB, limit time.Duration, what string, get func(context.Context) error) {
	t.Helper()
	eventually(t, limit, func() error {
		if err := get(t.Context()); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is still there: %v", what, err)
		}
		return nil
	})
}

func (p *plane) podGoes(t testing.TB, namespace, name string) {
	t.Helper()
	goes(t, 5*time.Second, "pod "+name, func(ctx context.Context) error {
		_, err := p.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
}

// TestBoundPodsAreRefused: a pod that names a board as its node keeps neither itself
// nor its namespace from being deleted.
func TestBoundPodsAreRefused(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	p.join(t, b, `{"approved":true}`)
	t.Run("its namespace can be deleted", func(t *testing.T) {
		namespace := p.namespace(t)
		p.bind(t, namespace, "web", b.name)
		began := time.Now()
		p.waitRefused(t, namespace)
		t.Logf("refused after %v", time.Since(began))
		must(t, p.client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}))
		goes(t, 30*time.Second, "namespace "+namespace, func(ctx context.Context) error {
			_, err := p.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			return err
		})
	})
	t.Run("of kubectl debug", func(t *testing.T) {
		namespace := p.namespace(t)
		_, err := p.kubectl(t, "-n", namespace, "debug", "node/"+b.name, "--image=registry.example/none")
		must(t, err)
		p.waitRefused(t, namespace)
	})
	t.Run("the firmware's pod stays", func(t *testing.T) { p.checkPod(t, b, "v1.2.3") })
	t.Run("one deleted while the board was away", func(t *testing.T) {
		namespace := p.namespace(t)
		b.stop()
		eventually(t, 30*time.Second, func() error {
			if r.refusals.visit(b.name) != nil {
				return errors.New("the board is still there")
			}
			return nil
		})
		p.bind(t, namespace, "web", b.name)
		must(t, p.client.CoreV1().Pods(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}))
		b.boot(t)
		p.waitNode(t, b.name, isReady)
		p.podGoes(t, namespace, "web")
	})
	if n := r.log.lines("level=WARN", "refuse the pods"); n > 0 {
		t.Errorf("%d failures of refusals:\n%s", n, r.log)
	}
}

// TestDaemonSetIsRefused: where a Node claims to have room, so that the scheduler binds
// a DaemonSet's pod to it, the controller makes the refused pod again with pauses that
// double (pkg/controller/daemon, failedPodsBackoff): no hot loop.
func TestDaemonSetIsRefused(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	b := newBoard(t, p.start(t, nil))
	p.join(t, b, `{"approved":true}`)
	_, err := p.client.CoreV1().Nodes().Patch(t.Context(), b.name, types.StrategicMergePatchType,
		[]byte(`{"status":{"capacity":{"pods":"9"},"allocatable":{"pods":"9"}}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	namespace := p.namespace(t)
	labels := map[string]string{"app": "everywhere"}
	w, err := p.client.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	defer w.Stop()
	_, err = p.client.AppsV1().DaemonSets(namespace).Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "everywhere"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{corev1.LabelHostname: b.name},
					Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:   []corev1.Container{{Name: "c", Image: "registry.example/none"}},
				},
			},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	const period = 30 * time.Second
	made, refused := 0, map[types.UID]bool{}
	for over := time.After(period); ; {
		select {
		case e := <-w.ResultChan():
			pod, ok := e.Object.(*corev1.Pod)
			switch {
			case !ok:
				t.Fatalf("%s %v", e.Type, e.Object)
			case e.Type == watch.Added:
				made++
			case isRefused(pod) == nil:
				refused[pod.UID] = true
			}
			continue
		case <-over:
		}
		break
	}
	t.Logf("%d pods in %v, %d refused", made, period, len(refused))
	if made < 2 || made > 7 || len(refused) < made-1 { // 1, 2, 4, 8, 16 s
		t.Errorf("%d pods in %v, %d refused", made, period, len(refused))
	}
}

// TestDeletedPodOfFirmware: it is gone and back at once.
func TestDeletedPodOfFirmware(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	b := newBoard(t, p.start(t, nil))
	p.join(t, b, `{"approved":true}`)
	p.checkPod(t, b, "v1.2.3")
	pods := p.client.CoreV1().Pods(staticpod.Namespace)
	before, err := pods.Get(t.Context(), staticpod.Name(b.name), metav1.GetOptions{})
	must(t, err)
	w, err := pods.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + before.Name, ResourceVersion: before.ResourceVersion})
	must(t, err)
	defer w.Stop()
	began := time.Now()
	must(t, pods.Delete(t.Context(), before.Name, metav1.DeleteOptions{}))
	var gone time.Time
	for e := range w.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("%s %v", e.Type, e.Object)
		}
		if e.Type == watch.Deleted {
			gone = time.Now()
		}
		if pod.UID != before.UID && pod.Status.Phase == corev1.PodRunning {
			break
		}
	}
	took, gap := time.Since(began), time.Since(gone)
	t.Logf("back after %v, gap %v", took, gap)
	if took > 2*time.Second || gap > time.Second {
		t.Errorf("back after %v, with a gap of %v", took, gap)
	}
}

// TestDeletedNode: Node and pod are back within seconds, not with the next heartbeat.
func TestDeletedNode(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	b := newBoard(t, p.start(t, nil))
	before := p.join(t, b, `{"approved":true}`)
	p.checkPod(t, b, "v1.2.3")
	began := time.Now()
	must(t, p.client.CoreV1().Nodes().Delete(t.Context(), b.name, metav1.DeleteOptions{}))
	eventually(t, 30*time.Second, func() error {
		n, err := p.client.CoreV1().Nodes().Get(t.Context(), b.name, metav1.GetOptions{})
		if err == nil && n.UID == before.UID {
			err = errors.New("the Node is still the one of before")
		}
		return err
	})
	node := time.Since(began)
	eventually(t, 30*time.Second, func() error {
		pod, err := p.client.CoreV1().Pods(staticpod.Namespace).Get(t.Context(), staticpod.Name(b.name), metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case len(pod.OwnerReferences) != 1 || pod.OwnerReferences[0].UID == before.UID || pod.Status.Phase != corev1.PodRunning:
			return fmt.Errorf("phase %s, owners %v", pod.Status.Phase, pod.OwnerReferences)
		}
		return nil
	})
	pod := time.Since(began)
	t.Logf("Node back after %v, its pod after %v", node, pod)
	if node > 2*time.Second || pod > 4*time.Second {
		t.Errorf("Node back after %v, its pod after %v", node, pod)
	}
}
