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
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/replica"
)

// linkPlane is a control plane of a test's own with all that a gateway needs.
func linkPlane(t *testing.T, apiServerArgs ...string) *plane {
	t.Helper()
	p, err := startPlane(t.Context(), t.TempDir(), cluster.Options{Binary: requireBinary(t).Path, Datastore: cluster.Memory, APIServerArgs: apiServerArgs})
	must(t, err)
	t.Cleanup(p.Kill)
	for _, manifests := range [][]byte{deploy.Devices, deploy.Enrolment, deploy.KubeletPort, deploy.Admission} {
		must(t, deploy.Apply(t.Context(), p.config, manifests))
	}
	return p
}

// machinePlane is a control plane of a test's own with two machines, each in a zone.
func machinePlane(t *testing.T) *plane {
	t.Helper()
	p := linkPlane(t)
	for i, zone := range []string{"north", "south"} {
		p.startMachine(t, "machine-"+zone, zone, i)
	}
	return p
}

// withBoard runs a test while a board is in the cluster, by a gateway with settings.
func (p *plane) withBoard(t *testing.T, name string, settings gateway.NodeSettings, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		r := startReplica(t, p, func(c *replica.Config) { c.Nodes = settings })
		r.board(t)
		test(t)
	})
}

// stays fails unless check finds nothing wrong for as long as limit.
func stays(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); ; {
		must(t, check())
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}

// TestDaemonSetRollsOutBesideABoard: a DaemonSet that tolerates everything stands
// still for good while a board says os=linux, and rolls out when --node-os says
// something else.
func TestDaemonSetRollsOutBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	sets := p.client.AppsV1().DaemonSets(namespace)
	labels := map[string]string{"app": "agent"}
	_, err := sets.Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				NodeSelector: map[string]string{corev1.LabelOSStable: "linux"},
				Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers:   []corev1.Container{{Name: "agent", Image: "example.com/agent:v1"}},
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	// running is how many pods of an image run on the machines.
	running := func(ctx context.Context, image string) (n int, err error) {
		list, err := p.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=agent"})
		if err != nil {
			return 0, err
		}
		for _, pod := range list.Items {
			if pod.Spec.Containers[0].Image == image && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
				n++
			}
		}
		return n, nil
	}
	waitRunning := func(t *testing.T, image string) {
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			if n, err := running(ctx, image); err != nil || n != 2 {
				return fmt.Errorf("%d of 2 pods of %s run: %v", n, image, err)
			}
			return nil
		})
	}
	update := func(t *testing.T, image string) {
		_, err := sets.Patch(t.Context(), "agent", types.StrategicMergePatchType, []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"`+image+`"}]}}}}`), metav1.PatchOptions{})
		must(t, err)
	}
	waitRunning(t, "example.com/agent:v1")
	p.withBoard(t, "os linux", gateway.NodeSettings{}, func(t *testing.T) {
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			set, err := sets.Get(ctx, "agent", metav1.GetOptions{})
			if err == nil && set.Status.DesiredNumberScheduled != 3 {
				err = fmt.Errorf("the board attracts no pod: %+v", set.Status)
			}
			return err
		})
		update(t, "example.com/agent:v2")
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			set, err := sets.Get(ctx, "agent", metav1.GetOptions{})
			if err == nil && (set.Status.ObservedGeneration != set.Generation || set.Status.UpdatedNumberScheduled != 1) {
				err = fmt.Errorf("the board's pod is not the new one: %+v", set.Status)
			}
			return err
		})
		stays(t, 5*time.Second, func() error {
			n, err := running(t.Context(), "example.com/agent:v1")
			if err == nil && n != 2 {
				err = fmt.Errorf("%d of 2 old pods run: the rollout goes on", n)
			}
			return err
		})
	})
	p.withBoard(t, "os picolet", gateway.NodeSettings{OS: "picolet"}, func(t *testing.T) {
		update(t, "example.com/agent:v3")
		waitRunning(t, "example.com/agent:v3")
		set, err := sets.Get(t.Context(), "agent", metav1.GetOptions{})
		must(t, err)
		if set.Status.DesiredNumberScheduled != 2 {
			t.Errorf("the board attracts a pod: %+v", set.Status)
		}
	})
}

// TestTopologySpreadBesideABoard: a board with a hostname label is an empty domain,
// so a spread by hostname allows one pod a machine; without the label the pods spread
// as without the board.
func TestTopologySpreadBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	const replicas = 4
	// bound deploys and returns how many pods found a node, once all were tried.
	bound := func(t *testing.T, name string) (n int) {
		labels := map[string]string{"app": name}
		deployments := p.client.AppsV1().Deployments(namespace)
		_, err := deployments.Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](replicas), Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}},
					TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
						MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
					}},
				}},
			},
		}, metav1.CreateOptions{})
		must(t, err)
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			list, err := p.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
			if err != nil {
				return err
			}
			n = 0
			for i := range list.Items {
				switch pod := &list.Items[i]; {
				case pod.Spec.NodeName != "":
					n++
				case !isUnschedulable(pod):
					return errors.New("the scheduler has not tried all pods")
				}
			}
			if len(list.Items) != replicas {
				return fmt.Errorf("%d pods", len(list.Items))
			}
			return nil
		})
		return n
	}
	if n := bound(t, "alone"); n != replicas {
		t.Fatalf("%d of %d pods are bound without a board", n, replicas)
	}
	p.withBoard(t, "hostname label", gateway.NodeSettings{}, func(t *testing.T) {
		if n := bound(t, "stuck"); n != 2 {
			t.Errorf("%d of %d pods are bound, want one for each machine", n, replicas)
		}
	})
	p.withBoard(t, "no hostname label", gateway.NodeSettings{NoHostnameLabel: true}, func(t *testing.T) {
		if n := bound(t, "spread"); n != replicas {
			t.Errorf("%d of %d pods are bound, want all", n, replicas)
		}
	})
}

// TestTopologyHintsBesideABoard: a board without a zone takes the hints of all
// Services away; with one it takes none.
func TestTopologyHintsBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	const endpoints = 6
	labels := map[string]string{"app": "zoned"}
	deployments := p.client.AppsV1().Deployments(namespace)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "zoned"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](endpoints), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}},
				TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
				}},
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = p.client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "zoned", Annotations: map[string]string{corev1.AnnotationTopologyMode: "Auto"}},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}},
	}, metav1.CreateOptions{})
	must(t, err)
	// waitHinted waits until all, or none, of the endpoints have hints.
	waitHinted := func(t *testing.T, want int) {
		t.Helper()
		eventually(t, time.Minute, func(ctx context.Context) error {
			list, err := p.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=zoned"})
			if err != nil {
				return err
			}
			all, hinted := 0, 0
			for _, s := range list.Items {
				for _, e := range s.Endpoints {
					all++
					if e.Hints != nil && len(e.Hints.ForZones) == 1 {
						hinted++
					}
				}
			}
			if all != endpoints || hinted != want {
				return fmt.Errorf("%d endpoints, %d hints, want %d and %d", all, hinted, endpoints, want)
			}
			return nil
		})
	}
	// touch has the endpoints looked at again, as their nodes alone do not.
	touch := func(t *testing.T) {
		_, err := p.client.CoreV1().Services(namespace).Patch(t.Context(), "zoned", types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"`+unique("t")+`"}}}`), metav1.PatchOptions{})
		must(t, err)
	}
	waitHinted(t, endpoints)
	p.withBoard(t, "no zone", gateway.NodeSettings{}, func(t *testing.T) {
		touch(t)
		waitHinted(t, 0)
	})
	p.withBoard(t, "zone", gateway.NodeSettings{Zone: "north"}, func(t *testing.T) {
		touch(t)
		waitHinted(t, endpoints)
	})
}

func isUnschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
	})
}
