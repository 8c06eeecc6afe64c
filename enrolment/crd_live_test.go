// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// apply gives a Device to plain kubectl, and returns what it says.
func (p *plane) apply(t testing.TB, name, spec string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), p.cluster.Kubectl(), "--kubeconfig", p.cluster.AdminKubeconfig(), "create", "--dry-run=server", "-f", "-")
	c.Stdin = strings.NewReader(fmt.Sprintf(`{"apiVersion":"picolet.dev/v1alpha1","kind":"Device","metadata":{"name":%q},"spec":%s}`, name, spec))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// TestBadDevices: what people see who write a wrong Device by hand.
func TestBadDevices(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	key := newKey(t)
	with := func(rest string) string { return `{"publicKey":"` + key.String() + `"` + rest + `}` }
	const qualified, value = "must be a qualified name", "must be at most 63 letters"
	for name, tt := range map[string]struct{ name, spec, want string }{
		"name":                {"pico-1", with(""), "the name of a Device is the first 16 hexadecimal digits"},
		"name in capitals":    {"ABCDEF0123456789", with(""), "lowercase RFC 1123"},
		"no key":              {"", `{}`, "spec.publicKey: Required value"},
		"empty key":           {"", `{"publicKey":""}`, "must be 32 bytes in standard base64"},
		"short key":           {"", `{"publicKey":"AAAA"}`, "must be 32 bytes in standard base64"},
		"long key":            {"", `{"publicKey":"` + strings.Repeat("A", 48) + `"}`, "may not be more than 44"},
		"key in base64url":    {"", `{"publicKey":"` + strings.Repeat("_", 43) + `="}`, "must be 32 bytes in standard base64"},
		"key with stray bits": {"", `{"publicKey":"` + strings.Repeat("A", 42) + `B="}`, "must be 32 bytes in standard base64"},
		"key with a newline":  {"", `{"publicKey":"` + strings.Repeat("A", 42) + `A\n"}`, "must be 32 bytes in standard base64"},
		"node name":           {"", with(`,"nodeName":"Pico_1"`), "must be a DNS-1123 subdomain"},
		"node name with dots": {"", with(`,"nodeName":"pico..1"`), "must be a DNS-1123 subdomain"},
		"node name, no end":   {"", with(`,"nodeName":"pico-.x"`), "must be a DNS-1123 subdomain"},
		"node name, newline":  {"", with(`,"nodeName":"pico\n"`), "must be a DNS-1123 subdomain"},
		"long node name":      {"", with(`,"nodeName":"` + strings.Repeat("x", 64) + `"`), "may not be more than 63"},
		"empty node name":     {"", with(`,"nodeName":""`), "should be at least 1 chars long"},
		"approved, no name":   {"", with(`,"approved":true`), "an approved Device needs a nodeName"},
		"approved is a word":  {"", with(`,"approved":"yes"`), "approved"},
		"label key":           {"", with(`,"labels":{"a b":"c"}`), qualified},
		"label value":         {"", with(`,"labels":{"a":"-"}`), value},
		"long label value":    {"", with(`,"labels":{"a":"` + strings.Repeat("x", 64) + `"}`), "may not be more than 63"},
		"control plane":       {"", with(`,"labels":{"node-role.kubernetes.io/control-plane":""}`), "a node may set no label of kubernetes.io"},
		"node restriction":    {"", with(`,"labels":{"node-restriction.kubernetes.io/a":"b"}`), "a node may set no label of kubernetes.io"},
		"deep restriction":    {"", with(`,"labels":{"a.node-restriction.kubernetes.io/a":"b"}`), "a node may set no label of kubernetes.io"},
		"zone as a label":     {"", with(`,"labels":{"topology.kubernetes.io/zone":"b"}`), "use spec.zone"},
		"too many labels":     {"", with(`,"labels":{` + many(17, `"l%d":"v"`) + `}`), "must have at most 16 items"},
		"zone":                {"", with(`,"zone":"a b"`), value},
		"taint effect":        {"", with(`,"taints":[{"key":"a","effect":"Never"}]`), `supported values: "NoSchedule"`},
		"taint key":           {"", with(`,"taints":[{"key":"/","effect":"NoExecute"}]`), qualified},
		"taint without key":   {"", with(`,"taints":[{"effect":"NoExecute"}]`), "key: Required value"},
		"taint value":         {"", with(`,"taints":[{"key":"a","value":"..","effect":"NoExecute"}]`), value},
		"same taint twice":    {"", with(`,"taints":[{"key":"a","effect":"NoExecute"},{"key":"a","effect":"NoExecute"}]`), "Duplicate value"},
		"too many taints":     {"", with(`,"taints":[` + many(9, `{"key":"k%d","effect":"NoExecute"}`) + `]`), "must have at most 8 items"},
		"unknown field":       {"", with(`,"approval":true`), `unknown field "spec.approval"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "" {
				tt.name = key.Name()
			}
			out, err := p.apply(t, tt.name, tt.spec)
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("kubectl says %q (%v), want %q", out, err, tt.want)
			}
		})
	}
	good := with(`,"nodeName":"a.b-c.1","approved":true,"zone":"roof","labels":{"a":"","picolet.dev/site":"n","node.kubernetes.io/x":"y"},"taints":[{"key":"picolet.dev/board","effect":"NoSchedule"},{"key":"picolet.dev/board","effect":"NoExecute"}]`)
	if out, err := p.apply(t, key.Name(), good); err != nil {
		t.Errorf("a good one: %v: %s", err, out)
	}
}

func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ",")
}

func TestDeviceKeyNeverChanges(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	key := newKey(t)
	_, err := p.devices.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name()}, Spec: v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: "a", Approved: ptr.To(false)},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.devices.Patch(t.Context(), key.Name(), types.MergePatchType, []byte(`{"spec":{"publicKey":"`+newKey(t).String()+`"}}`), metav1.PatchOptions{})
	if err == nil || !strings.Contains(err.Error(), "a Device's key does not change") {
		t.Errorf("another key: %v", err)
	}
}

// TestKubectlGetDevices: the columns, narrow and wide.
func TestKubectlGetDevices(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h, waits := newHello(t), newHello(t)
	g.refused(t, waits, Pending)
	p.has(t, waits.Key.Name(), v1alpha1.Connected, metav1.ConditionFalse, Pending)
	p.approved(t, g, h)
	g.admitted(t, h)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "devices"}, "NAME NODE APPROVED CONNECTED BOARD FIRMWARE AGE"},
		{[]string{"get", "devices", "-o", "wide"}, "NAME NODE APPROVED CONNECTED BOARD FIRMWARE REASON ADDRESS GATEWAY GATEWAY KEY LAST CONTACT AGE"},
		{[]string{"get", "device", h.Key.Name(), "--no-headers"}, h.Key.Name() + " " + h.NodeName + " true True " + h.BoardID + " v0.4.0 "},
		{[]string{"get", "device", waits.Key.Name(), "--no-headers"}, waits.Key.Name() + " " + waits.NodeName + " False " + waits.BoardID + " v0.4.0 "},
	} {
		first, _, _ := strings.Cut(p.kubectl(t, tt.args...), "\n")
		if got := strings.Join(strings.Fields(first), " "); !strings.HasPrefix(got, tt.want) {
			t.Errorf("kubectl %q: %q, want %q", tt.args, got, tt.want)
		}
	}
}
