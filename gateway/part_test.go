// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/node"
)

var testPart = NodePart{
	Labels:   map[string]string{"topology.kubernetes.io/zone": "attic", "a": "gateway"},
	Taints:   []corev1.Taint{{Key: "mine", Value: "1", Effect: corev1.TaintEffectNoExecute}},
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

func TestPartIsPutIntoABody(t *testing.T) {
	t.Parallel()
	const (
		addresses = `[{"type":"InternalIP","address":"192.0.2.10"}]`
		replaced  = `[{"type":"InternalIP","address":"192.0.2.10"},{"$patch":"replace"}]`
		rest      = `"daemonEndpoints":{"kubeletEndpoint":{"Port":20001}},"declaredFeatures":["ExtendWebSocketsToKubelet"]`
	)
	for name, tt := range map[string]struct {
		operation, contentType, body, want string
	}{
		"new node": {"create_node", jsonType, `{"kind":"Node","metadata":{"name":"n","labels":{"a":"board","b":"board"}}}`,
			`{"kind":"Node","metadata":{"name":"n","labels":{"a":"gateway","b":"board","topology.kubernetes.io/zone":"attic"}},` +
				`"spec":{"taints":[{"key":"mine","value":"1","effect":"NoExecute"}]},"status":{"addresses":` + addresses + `,` + rest + `}}`},
		"new node with its own taints": {"create_node", jsonType,
			`{"metadata":{"labels":{}},"spec":{"podCIDR":"","taints":[{"key":"mine","effect":"NoExecute","x":1},{"key":"mine","effect":"NoSchedule"},{"key":"board","value":"<&>","effect":"NoExecute"}]},"status":{}}`,
			`{"metadata":{"labels":{"a":"gateway","topology.kubernetes.io/zone":"attic"}},` +
				`"spec":{"podCIDR":"","taints":[{"key":"mine","effect":"NoSchedule"},{"key":"board","value":"<&>","effect":"NoExecute"},{"key":"mine","value":"1","effect":"NoExecute"}]},` +
				`"status":{"addresses":` + addresses + `,` + rest + `}}`},
		"status, strategic": {"patch_node_status", strategicPatchType,
			`{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"n"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"declaredFeatures":["X"],"capacity":{"cpu":"1"},"n":12345678901234567890123}}`,
			`{"status":{"capacity":{"cpu":"1"},"n":12345678901234567890123,"addresses":` + replaced + `,` + rest + `}}`},
		"status, merge": {"patch_node_status", mergePatchType, `{"status":{"addresses":null,"capacity":{"gpu":null}}}`,
			`{"status":{"capacity":{"gpu":null},"addresses":` + addresses + `,` + rest + `}}`},
		"heartbeat": {"patch_node_status", strategicPatchType, `{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:00:00Z"}]}}`,
			`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:00:00Z"}],"addresses":` + replaced + `,` + rest + `}}`},
		"status with labels": {"patch_node_status", strategicPatchType, `{"metadata":{"name":"n","labels":{"a":null}}}`,
			`{"metadata":{"name":"n","labels":{"a":"gateway","topology.kubernetes.io/zone":"attic"}},"status":{"addresses":` + replaced + `,` + rest + `}}`},
		"labels": {"patch_node", strategicPatchType, `{"metadata":{"labels":{"a":"board","c":"board"}}}`,
			`{"metadata":{"labels":{"a":"gateway","c":"board","topology.kubernetes.io/zone":"attic"}}}`},
		"annotations": {"patch_node", mergePatchType, `{"metadata":{"annotations":{"a":"board"}}}`, `{"metadata":{"annotations":{"a":"board"}}}`},
		"spec":        {"patch_node", mergePatchType, `{"spec":{"unschedulable":true}}`, `{"spec":{"unschedulable":true}}`},
		"lease":       {"patch_lease", mergePatchType, `{"metadata":{"labels":{"a":"board"}},"status":{}}`, `{"metadata":{"labels":{"a":"board"}},"status":{}}`},
	} {
		got, refused := testPart.putInto([]byte(tt.body), operationNamed(t, tt.operation), tt.contentType)
		if refused != nil || !sameJSON(t, string(got), tt.want) {
			t.Errorf("%s: %s, %v, want\n%s", name, got, refused, tt.want)
		}
	}
}

// TestPartLeavesBodiesAlone: what a part does not say stays as the board has it.
func TestPartLeavesBodiesAlone(t *testing.T) {
	t.Parallel()
	const body = `{"metadata":{},"status":{"addresses":[]}}`
	for name, tt := range map[string]struct {
		part NodePart
		want string
	}{
		"nothing":  {NodePart{}, body},
		"labels":   {NodePart{Labels: map[string]string{"a": "b"}}, `{"metadata":{"labels":{"a":"b"}},"status":{"addresses":[]}}`},
		"taints":   {NodePart{Taints: []corev1.Taint{{Key: "a", Effect: "NoSchedule"}}}, `{"metadata":{},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]},"status":{"addresses":[]}}`},
		"features": {NodePart{Features: []string{"A"}}, `{"metadata":{},"status":{"addresses":[],"declaredFeatures":["A"]}}`},
		"IPv6": {NodePart{Kubelet: netip.MustParseAddrPort("[2001:db8::1]:1")},
			`{"metadata":{},"status":{"addresses":[{"type":"InternalIP","address":"2001:db8::1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":1}}}}`},
		"IPv4 in IPv6": {NodePart{Kubelet: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1")},
			`{"metadata":{},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":1}}}}`},
	} {
		got, refused := tt.part.putInto([]byte(body), operationNamed(t, "create_node"), jsonType)
		if refused != nil || !sameJSON(t, string(got), tt.want) {
			t.Errorf("%s: %s, %v, want %s", name, got, refused, tt.want)
		}
	}
}

// TestPartCannotBeUndone: a board may not send what would take back what the
// gateway puts in.
func TestPartCannotBeUndone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"$patch":"delete"}`, `{"$patch":"replace","status":{}}`, `{"$retainKeys":["metadata"]}`, `{"\u0024patch":"delete"}`,
		`{"status":{"$patch":"delete"}}`, `{"status":{"$retainKeys":["capacity"]}}`, `{"status":{"$setElementOrder/addresses":[]}}`,
		`{"status":{"$deleteFromPrimitiveList/declaredFeatures":["ExtendWebSocketsToKubelet"]}}`,
		`{"metadata":{"$patch":"replace","labels":{}}}`, `{"metadata":{"labels":{"$patch":"delete"}}}`,
		`{"metadata":{"labels":null}}`, `{"metadata":null}`, `{"status":null}`, `{"status":[]}`, `{"status":1}`, `{"metadata":{"labels":["a"]}}`,
	} {
		got, refused := testPart.putInto([]byte(body), operationNamed(t, "patch_node_status"), strategicPatchType)
		if refused == nil || refused.code != http.StatusForbidden && refused.code != http.StatusBadRequest {
			t.Errorf("%s: %s, %v, want a refusal", body, got, refused)
		}
	}
	for _, body := range []string{`{"spec":null}`, `{"spec":{"taints":{}}}`, `{"spec":{"taints":"a"}}`} {
		if got, refused := testPart.putInto([]byte(body), operationNamed(t, "create_node"), jsonType); refused == nil {
			t.Errorf("%s: %s, want a refusal", body, got)
		}
	}
}

// TestPartInTheKubeletsPatch: what the kubelet writes becomes, at the API server, a
// Node with the gateway's part and all else of the kubelet's.
func TestPartInTheKubeletsPatch(t *testing.T) {
	t.Parallel()
	board := &node.Node{Spec: node.Spec{Name: "pico-1", OS: "linux", Arch: "arm", CPU: "1", Memory: "256Ki", Port: 10250, Version: "v1.37.2"}}
	board.SetAddress("10.0.0.7")
	write := func(do func(*jsonstream.Writer, int64)) []byte {
		var w jsonstream.Writer
		w.Reset(make([]byte, 0, 8<<10))
		do(&w, 1_700_000_000_000_000)
		return w.Bytes()
	}
	made, refused := testPart.putInto(write(board.WriteNode), operationNamed(t, "create_node"), jsonType)
	if refused != nil {
		t.Fatal(refused)
	}
	moved := testPart
	moved.Kubelet = netip.MustParseAddrPort("192.0.2.11:20002")
	patch, refused := moved.putInto(write(board.WriteStatusPatch), operationNamed(t, "patch_node_status"), strategicPatchType)
	if refused != nil {
		t.Fatal(refused)
	}
	merged, err := strategicpatch.StrategicMergePatch(made, patch, corev1.Node{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want corev1.Node
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(write(board.WriteNode), &want); err != nil {
		t.Fatal(err)
	}
	want.Labels["a"], want.Labels["topology.kubernetes.io/zone"] = "gateway", "attic"
	want.Spec.Taints = append(want.Spec.Taints, testPart.Taints...)
	want.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.11"}}
	want.Status.DaemonEndpoints.KubeletEndpoint.Port = 20002
	want.Status.DeclaredFeatures = testPart.Features
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// BenchmarkPart is the cost of a part in a status patch of the kubelet's.
func BenchmarkPart(b *testing.B) {
	body := []byte(`{"status":{"capacity":{"cpu":"1","memory":"256Ki","pods":"0"},"allocatable":{"cpu":"1","memory":"256Ki","pods":"0"},"conditions":[` +
		strings.Repeat(`{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"KubeletReady","message":"kubelet is posting ready status"},`, 4) +
		`{"type":"Ready"}],"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"nodeInfo":{"machineID":"e661"}}}`)
	op := operationNamed(b, "patch_node_status")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := testPart.putInto(body, op, strategicPatchType); refused != nil {
			b.Fatal(refused)
		}
	}
}
