// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
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

// agents is a DaemonSet that tolerates everything and selects linux, as agents of
// networks and monitoring do.
type agents struct{ plane *plane }

func (p *plane) deployAgents(t *testing.T, image string) agents {
	t.Helper()
	labels := map[string]string{"app": "agent"}
	_, err := p.client.AppsV1().DaemonSets(namespace).Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				NodeSelector: map[string]string{corev1.LabelOSStable: "linux"},
				Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers:   []corev1.Container{{Name: "agent", Image: image}},
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	return agents{p}
}

func (a agents) update(t *testing.T, image string) {
	t.Helper()
	_, err := a.plane.client.AppsV1().DaemonSets(namespace).Patch(t.Context(), "agent", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"`+image+`"}]}}}}`), metav1.PatchOptions{})
	must(t, err)
}

// checkRunning reports an error unless both machines run an image.
func (a agents) checkRunning(ctx context.Context, image string) error {
	list, err := a.plane.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=agent"})
	if err != nil {
		return err
	}
	n := 0
	for _, pod := range list.Items {
		if pod.Spec.Containers[0].Image == image && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			n++
		}
	}
	if n != 2 {
		return fmt.Errorf("%d of 2 pods of %s run", n, image)
	}
	return nil
}

// waitStatus waits until the controller has observed the DaemonSet, desires so many
// pods, and has updated so many of them.
func (a agents) waitStatus(t *testing.T, desired, updated int32) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		set, err := a.plane.client.AppsV1().DaemonSets(namespace).Get(ctx, "agent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if s := set.Status; s.ObservedGeneration != set.Generation || s.DesiredNumberScheduled != desired || s.UpdatedNumberScheduled != updated {
			return fmt.Errorf("%+v, want %d pods, %d of them new", s, desired, updated)
		}
		return nil
	})
}

// TestDaemonSetRollsOutBesideABoard: the rollout of a DaemonSet that tolerates
// everything stalls while a board reports os=linux, and completes when --node-os sets
// another value.
func TestDaemonSetRollsOutBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	a := p.deployAgents(t, "example.com/agent:v1")
	running := func(t *testing.T, image string) {
		t.Helper()
		eventually(t, 30*time.Second, func(ctx context.Context) error { return a.checkRunning(ctx, image) })
	}
	running(t, "example.com/agent:v1")
	p.withBoard(t, "os linux", gateway.NodeSettings{}, func(t *testing.T) {
		a.waitStatus(t, 3, 3)
		a.update(t, "example.com/agent:v2")
		a.waitStatus(t, 3, 1) // the board's, which does not run
		stays(t, 5*time.Second, func() error { return a.checkRunning(t.Context(), "example.com/agent:v1") })
	})
	p.withBoard(t, "os picolet", gateway.NodeSettings{OS: "picolet"}, func(t *testing.T) {
		a.update(t, "example.com/agent:v3")
		running(t, "example.com/agent:v3")
		a.waitStatus(t, 2, 2)
	})
}

// deploySpread deploys pods that are spread by a label of nodes.
func (p *plane) deploySpread(t *testing.T, name string, replicas int32, by string) {
	t.Helper()
	labels := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	_, err := p.client.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: labels,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels.MatchLabels}, Spec: corev1.PodSpec{
				Containers:                []corev1.Container{{Name: "web", Image: "example.com/web"}},
				TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: by, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: labels}},
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
}

// waitTried waits until the scheduler has tried all pods of a deployment, and returns
// how many are bound.
func (p *plane) waitTried(t *testing.T, name string, replicas int) (bound int) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		list, err := p.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err
		}
		bound = 0
		tried := 0
		for i := range list.Items {
			switch pod := &list.Items[i]; {
			case pod.Spec.NodeName != "":
				bound, tried = bound+1, tried+1
			case isUnschedulable(pod):
				tried++
			}
		}
		if tried != replicas {
			return fmt.Errorf("the scheduler has tried %d of %d pods", tried, replicas)
		}
		return nil
	})
	return bound
}

// TestTopologySpreadBesideABoard: a board with a hostname label is an empty domain,
// so a spread by hostname allows one pod a machine; without the label the pods spread
// as without the board.
func TestTopologySpreadBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	const replicas = 4
	check := func(t *testing.T, name string, want int) {
		t.Helper()
		p.deploySpread(t, name, replicas, corev1.LabelHostname)
		if n := p.waitTried(t, name, replicas); n != want {
			t.Errorf("%d of %d pods are bound, want %d", n, replicas, want)
		}
	}
	check(t, "alone", replicas)
	p.withBoard(t, "hostname label", gateway.NodeSettings{}, func(t *testing.T) { check(t, "stuck", 2) })
	p.withBoard(t, "no hostname label", gateway.NodeSettings{NoHostnameLabel: true}, func(t *testing.T) { check(t, "spread", replicas) })
}

// hints counts the endpoints of a Service, and those with a hint.
func (p *plane) hints(ctx context.Context, service string) (endpoints, hinted int, err error) {
	list, err := p.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return 0, 0, err
	}
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			endpoints++
			if e.Hints != nil && len(e.Hints.ForZones) == 1 {
				hinted++
			}
		}
	}
	return endpoints, hinted, nil
}

// waitHinted waits until all, or none, of the endpoints have hints. Their nodes alone
// do not have them looked at again; a change of the Service does.
func (p *plane) waitHinted(t *testing.T, service string, endpoints, want int) {
	t.Helper()
	_, err := p.client.CoreV1().Services(namespace).Patch(t.Context(), service, types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"`+unique("t")+`"}}}`), metav1.PatchOptions{})
	must(t, err)
	eventually(t, time.Minute, func(ctx context.Context) error {
		all, hinted, err := p.hints(ctx, service)
		if err == nil && (all != endpoints || hinted != want) {
			err = fmt.Errorf("%d endpoints, %d hints, want %d and %d", all, hinted, endpoints, want)
		}
		return err
	})
}

// TestTopologyHintsBesideABoard: a board without a zone takes the hints of all
// Services away; with one it takes none.
func TestTopologyHintsBesideABoard(t *testing.T) {
	t.Parallel()
	p := machinePlane(t)
	const endpoints = 6
	p.deploySpread(t, "zoned", endpoints, corev1.LabelTopologyZone)
	_, err := p.client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "zoned", Annotations: map[string]string{corev1.AnnotationTopologyMode: "Auto"}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "zoned"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}},
	}, metav1.CreateOptions{})
	must(t, err)
	p.waitHinted(t, "zoned", endpoints, endpoints)
	p.withBoard(t, "no zone", gateway.NodeSettings{}, func(t *testing.T) { p.waitHinted(t, "zoned", endpoints, 0) })
	p.withBoard(t, "zone", gateway.NodeSettings{Zone: "north"}, func(t *testing.T) { p.waitHinted(t, "zoned", endpoints, endpoints) })
}

func isUnschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
	})
}
