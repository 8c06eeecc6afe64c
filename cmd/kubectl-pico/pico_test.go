// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	picoletcluster "github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/enrolment"
)

// live is a real control plane.
type live struct {
	kubeconfig string
	devices    *devices.Client
	client     kubernetes.Interface
}

func startLive(t *testing.T) *live {
	t.Helper()
	binary, err := picoletcluster.Find(t.Context(), picoletcluster.FindOptions{})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no control plane to test with: %v", err)
		}
		t.Skipf("needs a control plane, as `make test` builds: %v", err)
	}
	c, err := picoletcluster.Start(t.Context(), picoletcluster.Options{Binary: binary.Path, Dir: t.TempDir(), Datastore: picoletcluster.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	config, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	l := &live{kubeconfig: c.AdminKubeconfig(), client: kubernetes.NewForConfigOrDie(config)}
	if l.devices, err = devices.New(config); err != nil {
		t.Fatal(err)
	}
	if got := l.fails(t, "list"); !strings.Contains(got, "this cluster knows no Devices: kubectl apply -f") {
		t.Errorf("without Devices: %q", got)
	}
	if got := l.fails(t, "token", "create"); !strings.Contains(got, "there is no namespace picolet-system: kubectl apply -f") {
		t.Errorf("without the namespace: %q", got)
	}
	for _, manifests := range [][]byte{deploy.Namespace, deploy.RBAC, deploy.Devices, deploy.Enrolment} {
		if err := deploy.Apply(t.Context(), config, manifests); err != nil {
			t.Fatal(err)
		}
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := l.devices.List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// pico runs the command.
func (l *live) pico(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append(args, "--kubeconfig", l.kubeconfig), &out, &err)
	return code, out.String(), err.String()
}

func (l *live) does(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := l.pico(t, args...)
	if code != 0 || err != "" {
		t.Fatalf("%q: exit code %d: %s", args, code, err)
	}
	return out
}

// fails wants exit code 1, and returns what is said on standard error.
func (l *live) fails(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := l.pico(t, args...)
	if code != exitFailed || out != "" || !strings.HasPrefix(err, "kubectl pico: ") {
		t.Fatalf("%q: exit code %d, %q, %q", args, code, out, err)
	}
	return err
}

// board makes a pending Device.
func (l *live) board(t *testing.T, node string) *v1alpha1.Device {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := v1alpha1.Key(k.PublicKey().Bytes())
	d, err := l.devices.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name()}, Spec: v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: node},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (l *live) approved(t *testing.T, name string) *bool {
	t.Helper()
	d, err := l.devices.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Spec.Approved
}

func TestLive(t *testing.T) {
	t.Parallel()
	l := startLive(t)
	t.Run("decide", l.decide)
	t.Run("names", l.names)
	t.Run("nodes", l.nodes)
	t.Run("list", l.list)
	t.Run("tokens", l.tokens)
}

func (l *live) decide(t *testing.T) {
	a, b := l.board(t, "decide-1"), l.board(t, "decide-2")
	if got := l.does(t, "approve", a.Name); !strings.HasPrefix(got, "device.picolet.dev/"+a.Name+" approved as node decide-1: key "+a.Spec.PublicKey) {
		t.Errorf("approve says %q", got)
	}
	if v := l.approved(t, a.Name); v == nil || !*v {
		t.Errorf("approved: %v", v)
	}
	if got := l.fails(t, "approve", a.Name); !strings.Contains(got, "is approved already, as node decide-1") {
		t.Errorf("approve again: %q", got)
	}
	if got := l.fails(t, "deny", a.Name); !strings.Contains(got, "kubectl pico revoke "+a.Name) {
		t.Errorf("deny an approved one: %q", got)
	}
	if got := l.fails(t, "revoke", b.Name); !strings.Contains(got, "kubectl pico deny "+b.Name) {
		t.Errorf("revoke a pending one: %q", got)
	}
	if got := l.does(t, "revoke", a.Name); got != "device.picolet.dev/"+a.Name+" revoked\n" {
		t.Errorf("revoke says %q", got)
	}
	if got := l.does(t, "deny", b.Name); got != "device.picolet.dev/"+b.Name+" denied\n" {
		t.Errorf("deny says %q", got)
	}
	for _, name := range []string{a.Name, b.Name} {
		if v := l.approved(t, name); v == nil || *v {
			t.Errorf("approved: %v", v)
		}
	}
	// One that cannot be does not keep the others.
	code, out, err := l.pico(t, "approve", "nobody", a.Name, b.Name)
	if code != exitFailed || strings.Count(out, "approved as node") != 2 || !strings.Contains(err, `no device "nobody"`) {
		t.Errorf("exit code %d, %q, %q", code, out, err)
	}
	l.does(t, "approve", b.Name, "--node-name", "decide-3")
	if d, err := l.devices.Get(t.Context(), b.Name, metav1.GetOptions{}); err != nil || d.Spec.NodeName != "decide-3" {
		t.Errorf("%+v: %v", d.Spec, err)
	}
	if got := l.fails(t, "approve", b.Name, "--node-name", "Bad_Name"); !strings.Contains(got, "must be a DNS-1123 subdomain") {
		t.Errorf("bad name: %q", got)
	}
}

// names: a stranger who wishes another's node name is not approved by it.
func (l *live) names(t *testing.T) {
	a, b := l.board(t, "names-1"), l.board(t, "names-1")
	got := l.fails(t, "approve", "names-1")
	for _, want := range []string{"2 devices", a.Name, b.Name, a.Spec.PublicKey, b.Spec.PublicKey} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	l.does(t, "approve", a.Name)
	if got := l.fails(t, "approve", b.Name); !strings.Contains(got, "node names-1 is device "+a.Name) || !strings.Contains(got, "kubectl pico revoke "+a.Name) {
		t.Errorf("the same node twice: %q", got)
	}
	if got := l.does(t, "revoke", "names-1"); !strings.Contains(got, a.Name) {
		t.Errorf("revoke by node name: %q", got)
	}
	if got := l.fails(t, "revoke", "names-2"); !strings.Contains(got, `see "kubectl pico list"`) {
		t.Errorf("no such: %q", got)
	}
	unnamed := l.board(t, "")
	if got := l.fails(t, "approve", unnamed.Name); !strings.Contains(got, "--node-name NAME") {
		t.Errorf("no node name: %q", got)
	}
}

func (l *live) nodes(t *testing.T) {
	d := l.board(t, "worker-1")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}}
	node.Status.NodeInfo.ContainerRuntimeVersion = "containerd://2.1.0"
	if _, err := l.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := l.fails(t, "approve", d.Name); !strings.Contains(got, "is no board (containerd://2.1.0)") {
		t.Errorf("approve says %q", got)
	}
	if v := l.approved(t, d.Name); v != nil {
		t.Errorf("approved: %v", *v)
	}
	if code, out, err := l.pico(t, "token", "create"); code != exitUsage || out != "" || !strings.Contains(err, "node worker-1 of this cluster is not a board") || !strings.Contains(err, "--node-names PATTERN") {
		t.Errorf("a token for any name: exit code %d, %q, %q", code, out, err)
	}
	l.does(t, "token", "create", "--node-names", "pico-*")
	if err := l.client.CoreV1().Nodes().Delete(t.Context(), "worker-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	l.does(t, "token", "create")
}

func (l *live) list(t *testing.T) {
	waits, in := l.board(t, "list-2"), l.board(t, "list-1")
	l.does(t, "approve", in.Name)
	got := regexp.MustCompile(" +").ReplaceAllString(l.does(t, "list"), " ")
	if !strings.HasPrefix(got, "NAME NODE STATE CONNECTED BOARD ADDRESS CONTACT AGE\n") ||
		!strings.Contains(got, in.Name+" list-1 Approved <none> <none> <none> <none> ") ||
		strings.Index(got, waits.Name) > strings.Index(got, in.Name) {
		t.Errorf("list says\n%s", got)
	}
	if got := l.does(t, "list", "--pending"); !strings.Contains(got, waits.Name) || strings.Contains(got, in.Name) {
		t.Errorf("list --pending says\n%s", got)
	}
}

func (l *live) tokens(t *testing.T) {
	token := strings.TrimSpace(l.does(t, "token", "create", "--uses", "3", "--ttl", "2h", "--node-names", "pico-*", "--labels", "site=north,row=3"))
	s, err := l.client.CoreV1().Secrets(enrolment.DefaultNamespace).Get(t.Context(), enrolment.TokenSecretName(token), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := enrolment.ReadTokenInfo(s)
	if left := time.Until(info.Expires); err != nil || info.Uses != 3 || info.NodeNames != "pico-*" || info.Labels["row"] != "3" || left > 2*time.Hour || left < time.Hour {
		t.Errorf("%+v: %v", info, err)
	}
	got := regexp.MustCompile(" +").ReplaceAllString(l.does(t, "token", "list"), " ")
	if !strings.HasPrefix(got, "ID USED EXPIRES NODES AGE\n") || !strings.Contains(got, info.ID+" 0 of 3 in 119m pico-* ") {
		t.Errorf("token list says\n%s", got)
	}
	_, secretPart, _ := strings.Cut(token, ".")
	if strings.Contains(got, secretPart) {
		t.Error("token list shows the token")
	}
	if got := l.fails(t, "token", "delete", "nosuchtokn"); !strings.Contains(got, "kubectl pico token list") {
		t.Errorf("delete: %q", got)
	}
	if got := l.does(t, "token", "delete", info.ID); got != "join token "+info.ID+" deleted\n" {
		t.Errorf("delete says %q", got)
	}
	if got := l.fails(t, "token", "create", "-n", "nowhere"); !strings.Contains(got, "there is no namespace nowhere") {
		t.Errorf("no namespace: %q", got)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"aprove"}, `there is no command "aprove"`},
		{[]string{"approve"}, "say which: kubectl pico approve NAME"},
		{[]string{"approve", "a", "b", "--node-name", "c"}, "--node-name is for one NAME"},
		{[]string{"deny", "--force"}, "unknown flag: --force"},
		{[]string{"list", "a"}, "takes flags only"},
		{[]string{"token", "make"}, `there is no command "make"`},
		{[]string{"token", "create", "--uses", "0"}, "1 to 10000 uses"},
		{[]string{"token", "create", "--ttl", "-1h"}, "give a time such as 24h"},
		{[]string{"token", "create", "--node-names", "["}, "pico-*"},
	} {
		var out, err bytes.Buffer
		if code := run(t.Context(), tt.args, &out, &err); code != exitUsage || !strings.Contains(err.String(), tt.want) {
			t.Errorf("%q: exit code %d: %q, want %q", tt.args, code, err.String(), tt.want)
		}
	}
	var out, err bytes.Buffer
	if code := run(t.Context(), nil, &out, &err); code != 0 || out.String() != firstScreen {
		t.Errorf("without arguments: exit code %d: %s%s", code, out.String(), err.String())
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	if code := run(t.Context(), []string{"list", "--kubeconfig", nowhere}, &out, &err); code != exitFailed || !strings.Contains(err.String(), "name one by --kubeconfig") {
		t.Errorf("no kubeconfig: exit code %d: %s", code, err.String())
	}
}

// TestPrintDevices: what a board or a stranger wrote cannot drive a terminal.
func TestPrintDevices(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	contact := metav1.NewTime(now.Add(-90 * time.Second))
	list := []v1alpha1.Device{
		{ObjectMeta: metav1.ObjectMeta{Name: "b", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}, Spec: v1alpha1.DeviceSpec{NodeName: "pico-2", Approved: ptr.To(false)}},
		{
			ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)), Generation: 2},
			Spec:       v1alpha1.DeviceSpec{NodeName: "pico-1", Approved: ptr.To(true)},
			Status: v1alpha1.DeviceStatus{Board: "\x1b[31m", Address: "192.0.2.7", LastContact: &contact, Conditions: []metav1.Condition{
				{Type: v1alpha1.Enrolled, Status: metav1.ConditionFalse, Reason: "NodeNameTaken", ObservedGeneration: 2},
				{Type: v1alpha1.Connected, Status: metav1.ConditionFalse},
			}},
		},
		{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: v1alpha1.DeviceSpec{NodeName: "pico-9"}},
	}
	var out bytes.Buffer
	if err := printDevices(&out, list, now); err != nil {
		t.Fatal(err)
	}
	const want = `NAME   NODE     STATE           CONNECTED   BOARD      ADDRESS     CONTACT   AGE
c      pico-9   Pending         <none>      <none>     <none>      <none>    <none>
a      pico-1   NodeNameTaken   False       \x1b[31m   192.0.2.7   90s       60m
b      pico-2   Denied          <none>      <none>     <none>      <none>    60m
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
