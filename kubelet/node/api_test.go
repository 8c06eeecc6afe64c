// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package node

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

func decode(t *testing.T, data []byte) (n corev1.Node) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return n
}

// The Node is what k8s.io/api takes it for, whole, and less than 2 KB.
func TestWriteNode(t *testing.T) {
	t.Parallel()
	n := picoNode()
	at := micros("2026-02-28T23:59:50Z")
	n.SetConditions(healthy(), at)
	data := write(t, func(w *jsonstream.Writer) { n.WriteNode(w, at) })
	if len(data) >= 2000 {
		t.Errorf("%d bytes, want less than 2 KB", len(data))
	}
	got := decode(t, data)
	if got.Kind != "Node" || got.APIVersion != "v1" || got.Name != "pico-1" {
		t.Errorf("it is a %s %s named %s", got.APIVersion, got.Kind, got.Name)
	}
	for key, want := range map[string]string{
		"kubernetes.io/hostname": "pico-1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm",
		"node.kubernetes.io/instance-type": "rp2040-pico", "picolet.dev/board": "rp2040",
	} {
		if got.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, got.Labels[key], want)
		}
	}
	if len(got.Spec.Taints) != 1 || got.Spec.Taints[0].ToString() != "picolet.dev/board=rp2040:NoSchedule" {
		t.Errorf("taints are %v", got.Spec.Taints)
	}
	for name, want := range map[corev1.ResourceName]string{"cpu": "1", "memory": "256Ki", "pods": "0"} {
		for _, list := range []corev1.ResourceList{got.Status.Capacity, got.Status.Allocatable} {
			if q := list[name]; q.Cmp(resource.MustParse(want)) != 0 {
				t.Errorf("%s is %v, want %s", name, &q, want)
			}
		}
	}
	wantInfo := corev1.NodeSystemInfo{
		MachineID: "e6614103e7452f2f", SystemUUID: "2f4c37c2-6d3f-5b7e-8e35-8d7f1c0a9b11",
		BootID: "9d3a52cd-5f3a-4f8e-b0f8-2c6f37f9a4a1", KernelVersion: "tinygo-0.41", OSImage: "picolet (Raspberry Pi Pico W)",
		ContainerRuntimeVersion: "picolet://" + RuntimeVersion, KubeletVersion: "v1.37.2", OperatingSystem: "linux", Architecture: "arm",
	}
	if got.Status.NodeInfo != wantInfo {
		t.Errorf("nodeInfo is %+v", got.Status.NodeInfo)
	}
	if got.Status.DaemonEndpoints.KubeletEndpoint.Port != 10250 {
		t.Errorf("the kubelet port is %d", got.Status.DaemonEndpoints.KubeletEndpoint.Port)
	}
	wantAddresses := []corev1.NodeAddress{{Type: "InternalIP", Address: "192.168.178.42"}, {Type: "Hostname", Address: "pico-1"}}
	if len(got.Status.Addresses) != 2 || got.Status.Addresses[0] != wantAddresses[0] || got.Status.Addresses[1] != wantAddresses[1] {
		t.Errorf("addresses are %v", got.Status.Addresses)
	}
}

func TestNoTaint(t *testing.T) {
	t.Parallel()
	n := picoNode()
	n.Spec.NoTaint = true
	got := decode(t, write(t, func(w *jsonstream.Writer) { n.WriteNode(w, 1) }))
	if len(got.Spec.Taints) != 0 {
		t.Errorf("taints are %v", got.Spec.Taints)
	}
}

// A condition's transition time moves when it flips and at no other time; its
// heartbeat time always does.
func TestTransitionTimes(t *testing.T) {
	t.Parallel()
	n := picoNode()
	full := healthy()
	full.Readings = &board.Readings{HeapUsed: 220, HeapTotal: 232, FlashUsed: 700, FlashTotal: 2048}
	for step, s := range []struct {
		in         Inputs
		transition int // step of MemoryPressure's last flip
		pressure   corev1.ConditionStatus
	}{
		{healthy(), 0, "False"}, {healthy(), 0, "False"}, {full, 2, "True"}, {full, 2, "True"}, {healthy(), 4, "False"}, {healthy(), 4, "False"},
	} {
		at := micros("2026-03-01T00:00:00Z") + int64(step)*10e6
		n.SetConditions(s.in, at)
		got := decode(t, write(t, func(w *jsonstream.Writer) { n.WriteStatusPatch(w, at) }))
		for _, c := range got.Status.Conditions {
			want := micros("2026-03-01T00:00:00Z")
			if c.Type == "MemoryPressure" {
				want += int64(s.transition) * 10e6
				if c.Status != s.pressure {
					t.Errorf("step %d: MemoryPressure is %s", step, c.Status)
				}
			}
			if c.LastTransitionTime.UnixMicro() != want || c.LastHeartbeatTime.UnixMicro() != at {
				t.Errorf("step %d: %s has transition %v, heartbeat %v", step, c.Type, c.LastTransitionTime, c.LastHeartbeatTime)
			}
		}
	}
}

// Reasons are those that the kubelet gives, by condition and status.
func TestReasons(t *testing.T) {
	t.Parallel()
	bad := Inputs{Readings: &board.Readings{HeapUsed: 99, HeapTotal: 100, FlashUsed: 99, FlashTotal: 100}, PortFull: true, ShuttingDown: true}
	for _, test := range []struct {
		in   Inputs
		want string
	}{
		{healthy(), "NetworkUnavailable=False:RouteCreated MemoryPressure=False:KubeletHasSufficientMemory DiskPressure=False:KubeletHasNoDiskPressure " +
			"PIDPressure=False:KubeletHasSufficientPID Ready=True:KubeletReady"},
		{bad, "NetworkUnavailable=True:NoRouteCreated MemoryPressure=True:KubeletHasInsufficientMemory DiskPressure=True:KubeletHasDiskPressure " +
			"PIDPressure=True:KubeletHasInsufficientPID Ready=False:KubeletNotReady"},
	} {
		n := picoNode()
		n.SetConditions(test.in, 1)
		var got []string
		for _, c := range decode(t, write(t, func(w *jsonstream.Writer) { n.WriteStatusPatch(w, 1) })).Status.Conditions {
			got = append(got, string(c.Type)+"="+string(c.Status)+":"+c.Reason)
			if c.Message == "" {
				t.Errorf("%s has no message", c.Type)
			}
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("got\n%s\nwant\n%s", text, test.want)
		}
	}
}

// A heartbeat that says no more than its time leaves the status as a whole one
// of that time would: by the API server's own merge.
func TestHeartbeatIsMergedIntoTheStatus(t *testing.T) {
	t.Parallel()
	n := picoNode()
	first, later := micros("2026-02-28T23:59:50Z"), micros("2026-03-01T00:04:50Z")
	n.SetConditions(healthy(), first)
	stored := write(t, func(w *jsonstream.Writer) { n.WriteNode(w, first) })
	n.SetConditions(healthy(), later)
	short := write(t, func(w *jsonstream.Writer) { n.WriteHeartbeat(w, later) })
	got, err := strategicpatch.StrategicMergePatch(stored, short, corev1.Node{})
	if err != nil {
		t.Fatal(err)
	}
	want := write(t, func(w *jsonstream.Writer) { n.WriteNode(w, later) })
	if !reflect.DeepEqual(decode(t, got), decode(t, want)) {
		t.Errorf("merged:\n%s\nwant:\n%s", got, want)
	}
	if len(short) > 1200 {
		t.Errorf("a heartbeat of %d bytes", len(short))
	}
}

// TestHeartbeatAfterConditionsReplaced: where another writer has replaced the list
// of conditions, a heartbeat restores each one whole, by the API server's own merge.
func TestHeartbeatAfterConditionsReplaced(t *testing.T) {
	t.Parallel()
	n := picoNode()
	first, later := micros("2026-02-28T23:59:50Z"), micros("2026-03-01T00:04:50Z")
	n.SetConditions(healthy(), first)
	want := decode(t, write(t, func(w *jsonstream.Writer) { n.WriteNode(w, later) })).Status.Conditions
	short := write(t, func(w *jsonstream.Writer) { n.WriteHeartbeat(w, later) })
	for _, conditions := range []string{
		`[]`,
		`[{"type":"KernelDeadlock","status":"False"}]`,
		`[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}]`,
		`[{"type":"Ready","status":"","lastHeartbeatTime":"2026-02-28T23:59:50Z","lastTransitionTime":null}]`,
	} {
		got, err := strategicpatch.StrategicMergePatch([]byte(`{"status":{"conditions":`+conditions+`}}`), short, corev1.Node{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range want {
			if !slices.Contains(decode(t, got).Status.Conditions, c) {
				t.Errorf("after %s: %s is not whole:\n%s", conditions, c.Type, got)
			}
		}
	}
}
