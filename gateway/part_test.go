// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	hardware "github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/node"
)

var testPart = NodePart{
	Labels:   map[string]string{"topology.kubernetes.io/zone": "attic", "a": "gateway"},
	Taints:   []corev1.Taint{{Key: "mine", Value: "1", Effect: corev1.TaintEffectNoExecute}},
	Pods:     3,
	Kubelet:  netip.MustParseAddrPort("192.0.2.10:20001"),
	Features: []string{"ExtendWebSocketsToKubelet"},
}

func operationNamed(t testing.TB, name string) *operation {
	t.Helper()
	for i := range operations {
		if operations[i].name == name {
			return &operations[i]
		}
	}
	t.Fatalf("no operation %q", name)
	return nil
}

// sameJSON compares values, to the digit of a number.
func sameJSON(t testing.TB, got, want string) bool {
	t.Helper()
	return reflect.DeepEqual(parsed(t, got), parsed(t, want))
}

func parsed(t testing.TB, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// rebuilt is what the API server gets of a board's body.
func rebuilt(t testing.TB, operation, body string, o *overlay) (string, *refusal) {
	t.Helper()
	c := &call{op: operationNamed(t, operation)}
	if !strings.HasPrefix(operation, "create_") {
		c.node = cmp.Or(o.node, "n")
	}
	if refused := c.decode([]byte(body)); refused != nil {
		return "", refused
	}
	with := *o
	with.node = c.node
	object, refused := c.body.object(&with)
	if refused != nil {
		return "", refused
	}
	return string(encodeJSON(object)), nil
}

const (
	excluded = `"node.kubernetes.io/exclude-disruption":"","node.kubernetes.io/exclude-from-external-load-balancers":""`
	noPods   = `{"pods":"0"}`
)

// TestOverlay: what the gateway sets on a Node is in each request about it, whatever
// the board sends in its place.
func TestOverlay(t *testing.T) {
	t.Parallel()
	const (
		decided  = `"a":"gateway","kubernetes.io/hostname":"n","topology.kubernetes.io/zone":"attic",` + excluded
		fixed    = `"topology.kubernetes.io/zone":"attic",` + excluded
		replaced = `"addresses":[{"type":"InternalIP","address":"192.0.2.10"},{"type":"Hostname","address":"n"},{"$patch":"replace"}]`
		rest     = `"daemonEndpoints":{"kubeletEndpoint":{"Port":20001}},"declaredFeatures":["ExtendWebSocketsToKubelet"]`
		status   = `{"status":{` + replaced + `,` + rest + `}}`
	)
	for name, tt := range map[string]struct{ operation, body, want string }{
		"new node": {"create_node", `{"kind":"Node","metadata":{"name":"n","labels":{"a":"board","kubernetes.io/os":"linux","kubernetes.io/hostname":"other","topology.kubernetes.io/zone":"board"}}}`,
			`{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","labels":{"kubernetes.io/os":"linux",` + decided + `}},` +
				`"spec":{"taints":[{"key":"picolet.dev/board","value":"unknown","effect":"NoSchedule"},{"key":"mine","value":"1","effect":"NoExecute"}]},` +
				`"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.10"},{"type":"Hostname","address":"n"}],` + rest + `}}`},
		"status": {"patch_node_status",
			`{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"declaredFeatures":["X"],"capacity":{"cpu":"1"}}}`,
			`{"status":{"capacity":{"cpu":"1","pods":"3"},` + replaced + `,` + rest + `}}`},
		"whole status": {"patch_node_status", `{"status":{"nodeInfo":{"machineID":"m","containerRuntimeVersion":"picolet://1"}}}`,
			`{"metadata":{"labels":{` + fixed + `}},"status":{"nodeInfo":{"machineID":"m","containerRuntimeVersion":"picolet://1"},` + replaced + `,` + rest + `}}`},
		"status without any": {"patch_node_status", `{"metadata":{"name":"n","labels":{"a":null}}}`, status},
		"status of null":     {"patch_node_status", `{"metadata":null,"status":null}`, status},
		"addresses removed":  {"patch_node_status", `{"status":{"addresses":null,"daemonEndpoints":null}}`, status},
		"labels":             {"patch_node", `{"metadata":{"labels":{"a":null,"c":"board","kubernetes.io/arch":"arm","topology.kubernetes.io/zone":null}}}`, `{"metadata":{"labels":{"kubernetes.io/arch":"arm",` + decided + `}}}`},
	} {
		got, refused := rebuilt(t, tt.operation, tt.body, &overlay{NodePart: testPart})
		if refused != nil || !sameJSON(t, got, tt.want) {
			t.Errorf("%s: %s, %v, want\n%s", name, got, refused, tt.want)
		}
	}
}

// TestOverlaySettings: what each setting changes of a Node that is made.
func TestOverlaySettings(t *testing.T) {
	t.Parallel()
	const (
		body      = `{"metadata":{"name":"n","labels":{"kubernetes.io/os":"linux","kubernetes.io/hostname":"n"}},"status":{"nodeInfo":{"operatingSystem":"linux","containerRuntimeVersion":"picolet://1"},"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"addresses":[{"type":"InternalIP","address":"10.0.0.9"}]}}`
		hostnames = `[{"type":"Hostname","address":"n"}]`
		taint     = `[{"key":"picolet.dev/board","value":"unknown","effect":"NoSchedule"}]`
	)
	kubelet := func(at string) NodePart { return NodePart{Kubelet: netip.MustParseAddrPort(at)} }
	for name, tt := range map[string]struct {
		overlay                   overlay
		labels, taints, addresses string // "" as without
		os                        string
		port                      int32
	}{
		"nothing":      {},
		"IPv6":         {overlay: overlay{NodePart: kubelet("[2001:db8::1]:1")}, addresses: `[{"type":"InternalIP","address":"2001:db8::1"},{"type":"Hostname","address":"n"}]`, port: 1},
		"IPv4 in IPv6": {overlay: overlay{NodePart: kubelet("[::ffff:192.0.2.1]:1")}, addresses: `[{"type":"InternalIP","address":"192.0.2.1"},{"type":"Hostname","address":"n"}]`, port: 1},
		"plain HTTP":   {overlay: overlay{direct: netip.MustParseAddr("192.0.2.7")}, addresses: `[{"type":"InternalIP","address":"192.0.2.7"},{"type":"Hostname","address":"n"}]`, port: 10250},
		"no Hostname":  {overlay: overlay{NodePart: kubelet("192.0.2.1:1"), NodeSettings: NodeSettings{NoHostnameAddress: true}}, addresses: `[{"type":"InternalIP","address":"192.0.2.1"}]`, port: 1},
		"no taint":     {overlay: overlay{NodePart: NodePart{NoTaint: true}}, taints: `null`},
		"own taint": {overlay: overlay{NodePart: NodePart{Taints: []corev1.Taint{{Key: "picolet.dev/board", Value: "mine", Effect: "NoSchedule"}}}},
			taints: `[{"key":"picolet.dev/board","value":"mine","effect":"NoSchedule"}]`},
		"os":             {overlay: overlay{NodeSettings: NodeSettings{OS: "picolet"}}, labels: `"kubernetes.io/os":"picolet","kubernetes.io/hostname":"n"`, os: "picolet"},
		"zone":           {overlay: overlay{NodeSettings: NodeSettings{Zone: "z"}}, labels: `"kubernetes.io/os":"linux","kubernetes.io/hostname":"n","topology.kubernetes.io/zone":"z"`},
		"hostname label": {overlay: overlay{NodeSettings: NodeSettings{NoHostnameLabel: true}}, labels: `"kubernetes.io/os":"linux"`},
	} {
		got, refused := rebuilt(t, "create_node", body, &tt.overlay)
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		var n corev1.Node
		if err := json.Unmarshal([]byte(got), &n); err != nil {
			t.Fatal(err)
		}
		wantLabels := "{" + cmp.Or(tt.labels, `"kubernetes.io/os":"linux","kubernetes.io/hostname":"n"`) + "," + excluded + "}"
		for what, pair := range map[string][2]string{
			"labels":    {string(encodeJSON(n.Labels)), wantLabels},
			"taints":    {string(encodeJSON(n.Spec.Taints)), cmp.Or(tt.taints, taint)},
			"addresses": {string(encodeJSON(n.Status.Addresses)), cmp.Or(tt.addresses, hostnames)},
		} {
			if !sameJSON(t, pair[0], pair[1]) {
				t.Errorf("%s: %s %s, want %s", name, what, pair[0], pair[1])
			}
		}
		if os := n.Status.NodeInfo.OperatingSystem; os != cmp.Or(tt.os, "linux") || n.Status.DaemonEndpoints.KubeletEndpoint.Port != tt.port {
			t.Errorf("%s: os %q, port %d", name, os, n.Status.DaemonEndpoints.KubeletEndpoint.Port)
		}
	}
}

// TestOverlayInTheKubeletsPatch: what the kubelet writes becomes, at the API server, a
// Node with what the gateway sets and all else of the kubelet's.
func TestOverlayInTheKubeletsPatch(t *testing.T) {
	t.Parallel()
	facts := hardware.Facts{Model: "rp2040", ID: "e6614", SystemUUID: "u", BootID: "b", KernelVersion: "k", OSImage: "o"}
	hw := &node.Node{Spec: node.Spec{Name: "pico-1", OS: "linux", Arch: "arm", InstanceType: "rp2040-pico", Facts: facts, CPU: "1", Memory: "256Ki", Port: 10250, Version: "v1.37.2"}}
	hw.SetAddress("10.0.0.7")
	write := func(do func(*jsonstream.Writer, int64)) string {
		var w jsonstream.Writer
		w.Reset(make([]byte, 0, 8<<10))
		do(&w, 1_700_000_000_000_000)
		return string(w.Bytes())
	}
	made, refused := rebuilt(t, "create_node", write(hw.WriteNode), &overlay{NodePart: testPart})
	if refused != nil {
		t.Fatal(refused)
	}
	moved := testPart
	moved.Kubelet = netip.MustParseAddrPort("192.0.2.11:20002")
	patch, refused := rebuilt(t, "patch_node_status", write(hw.WriteStatusPatch), &overlay{NodePart: moved, node: "pico-1"})
	if refused != nil {
		t.Fatal(refused)
	}
	merged, err := strategicpatch.StrategicMergePatch([]byte(made), []byte(patch), corev1.Node{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want corev1.Node
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(write(hw.WriteNode)), &want); err != nil {
		t.Fatal(err)
	}
	want.Labels[excludeBalancers], want.Labels[excludeDisruption] = "", ""
	want.Labels["a"], want.Labels["topology.kubernetes.io/zone"] = "gateway", "attic"
	want.Spec.Taints = append(want.Spec.Taints, testPart.Taints...)
	want.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.11"}, {Type: corev1.NodeHostName, Address: "pico-1"}}
	want.Status.Capacity[corev1.ResourcePods], want.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("3"), resource.MustParse("3")
	want.Status.DaemonEndpoints.KubeletEndpoint.Port = 20002
	want.Status.DeclaredFeatures = testPart.Features
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// BenchmarkRebuild is the cost of rebuilding a status patch of the kubelet's.
func BenchmarkRebuild(b *testing.B) {
	body := `{"status":{"capacity":{"cpu":"1","memory":"256Ki","pods":"0"},"allocatable":{"cpu":"1","memory":"256Ki","pods":"0"},"conditions":[` +
		strings.Repeat(`{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"KubeletReady","message":"kubelet is posting ready status"},`, 4) +
		`{"type":"Ready"}],"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"nodeInfo":{"machineID":"e661"}}}`
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := rebuilt(b, "patch_node_status", body, &overlay{NodePart: testPart}); refused != nil {
			b.Fatal(refused)
		}
	}
}
