// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// boardTaint keeps ordinary pods away from boards.
var boardTaint = corev1.Taint{Key: "picolet.dev/board", Value: "virtual", Effect: corev1.TaintEffectNoSchedule}

func TestVirtualBoardBecomesReady(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	t.Logf("Kubernetes %s", p.version)
	b := readyBoard(t, p, boardOptions{})
	b.waitNode(t, 10*time.Second, func(n *corev1.Node) error {
		if !slices.Equal(n.Spec.Taints, []corev1.Taint{boardTaint}) {
			return fmt.Errorf("taints %v, want %v alone", n.Spec.Taints, boardTaint)
		}
		return nil
	})
	text := p.mustKubectl(t, "get", "node", b.name, "--output=json")
	var n corev1.Node
	must(t, json.Unmarshal([]byte(text), &n))
	t.Run("has the labels of the reference", func(t *testing.T) { checkLabels(t, &n, "virtual") })
	t.Run("has the resources of a Pico W", func(t *testing.T) { checkResources(t, &n) })
	t.Run("has five conditions", func(t *testing.T) { checkConditions(t, &n) })
	t.Run("can be reached", func(t *testing.T) { checkAddresses(t, &n, b.port) })
	t.Run("has all of nodeInfo", func(t *testing.T) { checkNodeInfo(t, text, b.hardware.Board().Facts, p.version) })
	t.Run("is shown by kubectl get", func(t *testing.T) { checkGetWide(t, b) })
	t.Run("is described by kubectl", func(t *testing.T) { checkDescribe(t, b) })
}

func checkLabels(t *testing.T, n *corev1.Node, model string) {
	want := map[string]string{
		"kubernetes.io/hostname":           n.Name,
		"kubernetes.io/os":                 "linux",
		"kubernetes.io/arch":               "arm",
		"node.kubernetes.io/instance-type": "rp2040-pico",
		"picolet.dev/board":                model,
		"node.kubernetes.io/exclude-from-external-load-balancers": "",
		"node.kubernetes.io/exclude-disruption":                   "",
	}
	got := maps.Clone(n.Labels)
	// The node lifecycle controller keeps copies under the names of old.
	maps.DeleteFunc(got, func(key, _ string) bool { return strings.HasPrefix(key, "beta.kubernetes.io/") })
	if !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}

func checkResources(t *testing.T, n *corev1.Node) {
	want := map[corev1.ResourceName]string{"cpu": "1", "memory": "256Ki", "pods": "0"}
	for name, list := range map[string]corev1.ResourceList{"capacity": n.Status.Capacity, "allocatable": n.Status.Allocatable} {
		got := map[corev1.ResourceName]string{}
		for r, q := range list {
			got[r] = q.String()
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s %v, want %v", name, got, want)
		}
	}
}

func checkConditions(t *testing.T, n *corev1.Node) {
	want := map[corev1.NodeConditionType]string{
		corev1.NodeReady:              "True KubeletReady",
		corev1.NodeMemoryPressure:     "False KubeletHasSufficientMemory",
		corev1.NodeDiskPressure:       "False KubeletHasNoDiskPressure",
		corev1.NodePIDPressure:        "False KubeletHasSufficientPID",
		corev1.NodeNetworkUnavailable: "False RouteCreated",
	}
	got := map[corev1.NodeConditionType]string{}
	for _, c := range n.Status.Conditions {
		got[c.Type] = fmt.Sprintf("%s %s", c.Status, c.Reason)
		if c.Message == "" {
			t.Errorf("%s has no message", c.Type)
		}
		checkRecent(t, string(c.Type)+" lastHeartbeatTime", c.LastHeartbeatTime, n)
		checkRecent(t, string(c.Type)+" lastTransitionTime", c.LastTransitionTime, n)
		if c.LastHeartbeatTime.Before(&c.LastTransitionTime) {
			t.Errorf("%s: transition %v after heartbeat %v", c.Type, c.LastTransitionTime, c.LastHeartbeatTime)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("conditions %v, want %v", got, want)
	}
}

// checkRecent checks a time against the API server's clock: the board has no
// other, and loses less than a second of it in the Date header.
func checkRecent(t *testing.T, what string, at metav1.Time, n *corev1.Node) {
	t.Helper()
	if d := at.Sub(n.CreationTimestamp.Time); d < -2*time.Second || d > time.Minute {
		t.Errorf("%s %v, want about %v", what, at, n.CreationTimestamp)
	}
}

func checkAddresses(t *testing.T, n *corev1.Node, port string) {
	ip, _, err := net.SplitHostPort(port)
	must(t, err)
	want := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: n.Name}}
	if !slices.Equal(n.Status.Addresses, want) {
		t.Errorf("addresses %v, want %v", n.Status.Addresses, want)
	}
	endpoint := net.JoinHostPort(ip, strconv.Itoa(int(n.Status.DaemonEndpoints.KubeletEndpoint.Port)))
	if endpoint != port {
		t.Errorf("the node says that its kubelet is at %s, it is at %s", endpoint, port)
	}
}

// checkNodeInfo looks at the JSON itself: a field that is not there and an
// empty one look the same once decoded.
func checkNodeInfo(t *testing.T, text string, facts board.Facts, version string) {
	var n struct {
		Status struct {
			NodeInfo map[string]any `json:"nodeInfo"`
		} `json:"status"`
	}
	must(t, json.Unmarshal([]byte(text), &n))
	want := map[string]any{
		"machineID":               facts.ID,
		"systemUUID":              facts.SystemUUID,
		"bootID":                  facts.BootID,
		"kernelVersion":           facts.KernelVersion,
		"osImage":                 facts.OSImage,
		"containerRuntimeVersion": n.Status.NodeInfo["containerRuntimeVersion"],
		"kubeletVersion":          version,
		"kubeProxyVersion":        "",
		"operatingSystem":         "linux",
		"architecture":            "arm",
	}
	if !maps.Equal(n.Status.NodeInfo, want) {
		t.Errorf("nodeInfo %v, want %v", n.Status.NodeInfo, want)
	}
	if runtime, _ := want["containerRuntimeVersion"].(string); !strings.HasPrefix(runtime, "picolet://") {
		t.Errorf("containerRuntimeVersion %q, want picolet://…", runtime)
	}
}

func checkGetWide(t *testing.T, b *testBoard) {
	row := b.plane.mustKubectl(t, "get", "node", b.name, "--output=wide", "--no-headers")
	for _, want := range []string{b.name, "Ready", b.plane.version, "127.0.0.1", b.hardware.Board().Facts.OSImage, "picolet://"} {
		if !strings.Contains(row, want) {
			t.Errorf("kubectl get node --output=wide shows no %q:\n%s", want, row)
		}
	}
	if strings.Contains(row, "NotReady") {
		t.Errorf("kubectl get node: %s", row)
	}
}

func checkDescribe(t *testing.T, b *testBoard) {
	b.plane.waitEvent(t, b.name, "Starting", "")
	b.plane.waitEvent(t, b.name, "NodeReady", b.name)
	text := b.plane.mustKubectl(t, "describe", "node", b.name)
	_, events, _ := strings.Cut(text, "\nEvents:")
	for _, want := range []string{"Starting", "NodeReady", "kubelet"} {
		if !strings.Contains(events, want) {
			t.Errorf("kubectl describe node shows no Event with %q:\n%s", want, text)
		}
	}
}

// The kubelet's labels and resources are settings. Through a gateway the taint and
// labels of one's own are not: those are an administrator's to decide.
func TestNodeIsRegisteredAsConfigured(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{change: func(c *kubelet.Config) {
		c.OS, c.Arch, c.InstanceType = "picolet", "riscv32", "sensor"
		c.CPU, c.Memory = "250m", "128Ki"
		c.NoTaint = true
		c.Labels = []kubelet.Label{{Key: "plant.example.com/hall", Value: "3"}, {Key: "topology.kubernetes.io/zone", Value: "north"}}
	}})
	n := b.waitNode(t, 10*time.Second, func(n *corev1.Node) error {
		if !slices.Equal(n.Spec.Taints, []corev1.Taint{boardTaint}) {
			return fmt.Errorf("taints %v, want %v alone", n.Spec.Taints, boardTaint)
		}
		return nil
	})
	for key, want := range map[string]string{
		"kubernetes.io/os": "picolet", "kubernetes.io/arch": "riscv32", "node.kubernetes.io/instance-type": "sensor",
		"plant.example.com/hall": "", "topology.kubernetes.io/zone": "",
	} {
		if n.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, n.Labels[key], want)
		}
	}
	if cpu, memory := n.Status.Capacity.Cpu(), n.Status.Capacity.Memory(); cpu.String() != "250m" || memory.String() != "128Ki" {
		t.Errorf("capacity cpu %s, memory %s, want 250m and 128Ki", cpu, memory)
	}
}

// Memory runs short on the board: the condition follows, with its Event and the
// taint of Kubernetes, and nothing else moves.
func TestConditionFollowsTheBoard(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{})
	before := b.mustNode(t)
	b.hardware.SetHeapUsed(250 << 10)
	n := b.waitNode(t, 30*time.Second, func(n *corev1.Node) error {
		c := condition(n, corev1.NodeMemoryPressure)
		if c.Status != corev1.ConditionTrue || c.Reason != "KubeletHasInsufficientMemory" {
			return fmt.Errorf("MemoryPressure is %s (%s)", c.Status, c.Reason)
		}
		if !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeMemoryPressure }) {
			return fmt.Errorf("taints %v, want %s among them", n.Spec.Taints, corev1.TaintNodeMemoryPressure)
		}
		return nil
	})
	for _, c := range n.Status.Conditions {
		old := condition(before, c.Type)
		flipped := c.Type == corev1.NodeMemoryPressure
		if moved := !c.LastTransitionTime.Equal(&old.LastTransitionTime); moved != flipped {
			t.Errorf("%s: transition %v, was %v", c.Type, c.LastTransitionTime, old.LastTransitionTime)
		}
		if !old.LastHeartbeatTime.Before(&c.LastHeartbeatTime) {
			t.Errorf("%s: heartbeat %v, was %v", c.Type, c.LastHeartbeatTime, old.LastHeartbeatTime)
		}
	}
	p.waitEvent(t, b.name, "NodeHasInsufficientMemory", b.name)
}

// A node that is deleted comes back as a new object, which owns the lease.
func TestDeletedNodeIsRegisteredAgain(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{})
	old := b.mustNode(t).UID
	p.mustKubectl(t, "delete", "node", b.name)
	b.waitNode(t, 30*time.Second, func(n *corev1.Node) error {
		if n.UID == old {
			return fmt.Errorf("node has its old UID %s", old)
		}
		c := condition(n, corev1.NodeReady)
		if c == nil || c.Status != corev1.ConditionTrue {
			return fmt.Errorf("node is not Ready: %v", c)
		}
		lease, err := b.lease(t.Context())
		if err != nil {
			return err
		}
		return checkOwner(lease, n)
	})
}

// Two boards of one name: who came first keeps it, the other is refused and
// says so.
func TestSecondBoardOfANameIsRefused(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	g := sharedGateway(t)
	first := readyBoard(t, p, boardOptions{})
	before := first.mustNode(t)
	o := boardOptions{name: first.name}
	o.virtual.ID = first.name + "-rival"
	second := startBoard(t, p, o)
	waitLog(t, second.log, 15*time.Second, "in use by board "+first.hardware.Board().Facts.ID)
	waitLog(t, g.log, 15*time.Second, `node name \"`+first.name+`\" is in use by board`)
	var status struct {
		Node struct{ Registered bool }
	}
	must(t, getJSON(t.Context(), "http://"+second.port+"/pico/status", &status))
	if status.Node.Registered {
		t.Error("/pico/status of the second board says that it is registered")
	}
	first.waitRenewals(t, 1) // a heartbeat of the first, after the second tried
	after := first.mustNode(t)
	if after.Status.NodeInfo != before.Status.NodeInfo {
		t.Errorf("nodeInfo %v, was %v", after.Status.NodeInfo, before.Status.NodeInfo)
	}
	if c := condition(after, corev1.NodeReady); c.Status != corev1.ConditionTrue || c.LastTransitionTime != condition(before, corev1.NodeReady).LastTransitionTime {
		t.Errorf("the first node is %v, was %v", c, condition(before, corev1.NodeReady))
	}
}
