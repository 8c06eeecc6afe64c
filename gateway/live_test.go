// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
)

// live is a real control plane with rbac.yaml applied, and the gateway's own
// credentials: a token of its ServiceAccount.
type live struct {
	cluster *cluster.Cluster
	admin   *rest.Config
	own     *rest.Config
	client  kubernetes.Interface // the administrator's
}

func startLive(t *testing.T, apiServerArgs ...string) *live {
	t.Helper()
	binary, err := cluster.Find(t.Context(), cluster.FindOptions{})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no control plane to test with: %v", err)
		}
		t.Skipf("needs a control plane, as `make test` builds: %v", err)
	}
	c, err := cluster.Start(t.Context(), cluster.Options{Binary: binary.Path, Dir: t.TempDir(), Datastore: cluster.SQLite, APIServerArgs: apiServerArgs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	admin, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, manifests := range [][]byte{deploy.Namespace, deploy.RBAC} {
		if err := deploy.Apply(t.Context(), admin, manifests); err != nil {
			t.Fatal(err)
		}
	}
	l := &live{cluster: c, admin: admin, client: kubernetes.NewForConfigOrDie(admin)}
	token, err := l.client.CoreV1().ServiceAccounts("picolet-system").CreateToken(t.Context(), "picolet-gateway",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.own = rest.AnonymousClientConfig(admin)
	l.own.BearerToken = token.Status.Token
	return l
}

func (l *live) gateway(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := startOn(t, ln, nil, l.own, change...)
	h.addr = ln.Addr().String()
	eventually(t, "the gateway is ready", func() bool { return h.rights.get() == nil })
	return h
}

// TestLive is what the gateway must do, and must not be able to do, before the
// real API server, with the rights of deploy/rbac.yaml alone.
func TestLive(t *testing.T) {
	t.Parallel()
	l := startLive(t)
	if err := deploy.Apply(t.Context(), l.admin, deploy.RBAC); err != nil {
		t.Errorf("applying twice: %v", err)
	}
	h := l.gateway(t)
	t.Run("node", func(t *testing.T) { l.node(t, h) })
	t.Run("hostile node", func(t *testing.T) { l.hostileNode(t, h) })
	t.Run("impersonation", func(t *testing.T) { l.impersonation(t) })
	t.Run("can-i", func(t *testing.T) { l.canI(t) })
	t.Run("ConfigMap", func(t *testing.T) { l.configMap(t, h) })
	t.Run("part", func(t *testing.T) { l.part(t) })
	t.Run("flooded", func(t *testing.T) { l.flooded(t) })
	t.Run("older firmware", func(t *testing.T) { l.olderFirmware(t) })
	t.Run("cluster-admin", func(t *testing.T) { l.clusterAdmin(t) })
	t.Run("API server restart", func(t *testing.T) { l.restart(t, h) })
}

// node goes through a node's life by each request of the table.
func (l *live) node(t *testing.T, h *harness) {
	c := h.client("")
	lease := `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"pico-1","namespace":"kube-node-lease"},"spec":{"holderIdentity":"pico-1","leaseDurationSeconds":40}}`
	var held struct {
		Metadata struct{ ResourceVersion string }
	}
	for _, tt := range []struct {
		method, target, body, contentType string
		code                              int
	}{
		{"POST", "/api/v1/nodes", `{"kind":"Node","apiVersion":"v1","metadata":{"name":"pico-1","labels":{"kubernetes.io/arch":"arm"}}}`, jsonType, 201},
		{"POST", "/api/v1/nodes", `{"metadata":{"name":"pico-1"}}`, jsonType, 409},
		{"GET", own, "", "", 200},
		{"PATCH", own, `{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`, strategicPatchType, 200},
		{"PATCH", own + "/status", `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"ok","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, strategicPatchType, 200},
		{"PATCH", own + "/status", `{"status":{"capacity":{"cpu":"1"}}}`, mergePatchType, 200},
		{"GET", ownLease, "", "", 404},
		{"POST", leasePath, lease, jsonType, 201},
		{"GET", ownLease, "", "", 200},
		{"PUT", ownLease, lease, jsonType, 200},
		{"PATCH", ownLease, `{"spec":{"leaseDurationSeconds":41}}`, mergePatchType, 200},
		{"POST", "/api/v1/namespaces/default/events", `{"metadata":{"name":"pico-1.1"},"involvedObject":{"kind":"Node","name":"pico-1"},"reason":"Starting","type":"Normal"}`, jsonType, 201},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dpico-1&resourceVersion=0", "", "", 200},
	} {
		if tt.method == "PUT" {
			tt.body = strings.Replace(lease, `"name":"pico-1",`, `"name":"pico-1","resourceVersion":"`+held.Metadata.ResourceVersion+`",`, 1)
		}
		r := ask(t, c, tt.method, tt.target, tt.body, "Content-Type", tt.contentType, nodeHeader, "pico-1")
		if r.code != tt.code {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, r.code, r.body)
		}
		if tt.target == ownLease {
			_ = json.Unmarshal([]byte(r.body), &held)
		}
	}
	node, err := l.client.CoreV1().Nodes().Get(t.Context(), "pico-1", metav1.GetOptions{})
	if err != nil || node.Labels["kubernetes.io/os"] != "linux" || node.Status.Capacity.Cpu().Value() != 1 {
		t.Errorf("node %+v: %v", node, err)
	}
}

// hostileNode leaves the gateway's own checks out: the API server confines a
// node that asks for what is not its own.
func (l *live) hostileNode(t *testing.T, h *harness) {
	if _, err := l.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "pico-2"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []request{
		{method: "PATCH", path: "/api/v1/nodes/pico-2/status", body: []byte(statusBody), contentType: strategicPatchType},
		{method: "PATCH", path: "/api/v1/nodes/pico-2", body: []byte(`{"metadata":{"labels":{"a":"b"}}}`), contentType: strategicPatchType},
		{method: "PATCH", path: "/api/v1/nodes/pico-1", body: []byte(`{"metadata":{"labels":{"node-restriction.kubernetes.io/User \"x\" cannot impersonate":"b"}}}`), contentType: strategicPatchType},
		{method: "GET", path: "/api/v1/nodes/pico-2"},
		{method: "GET", path: leasePath + "/pico-2"},
		{method: "GET", path: "/api/v1/pods"},
		{method: "GET", path: "/api/v1/pods", query: "fieldSelector=spec.nodeName%3Dpico-2"},
		{method: "GET", path: "/api/v1/secrets"},
		{method: "GET", path: "/api/v1/namespaces/default/configmaps/pico-config"},
		{method: "DELETE", path: "/api/v1/nodes/pico-1"},
		{method: "DELETE", path: "/api/v1/nodes/pico-2"},
		{method: "POST", path: "/api/v1/namespaces/default/serviceaccounts/default/token", body: []byte(`{}`), contentType: jsonType},
	} {
		r.node = "pico-1"
		a, err := h.upstream.do(t.Context(), r)
		if err != nil || a.code != http.StatusForbidden {
			t.Errorf("%s %s?%s as pico-1: %+v, %v", r.method, r.path, r.query, a, err)
		}
	}
}

// impersonation: the gateway's token turns into nothing but a node.
func (l *live) impersonation(t *testing.T) {
	for _, as := range []rest.ImpersonationConfig{
		{UserName: "system:admin"},
		{UserName: "kubernetes-admin", Groups: []string{"system:masters"}},
		{UserName: "system:serviceaccount:kube-system:default"},
		{UserName: "system:node:pico-1", Groups: []string{"system:nodes"}},
		{UserName: "system:node:pico-1", Groups: []string{"system:masters"}},
		{UserName: "system:node:pico-1", UID: "1"},
		{UserName: "system:kube-controller-manager"},
		{UserName: "system:anonymous"},
	} {
		c := rest.CopyConfig(l.own)
		c.Impersonate = as
		_, err := kubernetes.NewForConfigOrDie(c).CoreV1().Nodes().Get(t.Context(), "pico-1", metav1.GetOptions{})
		if err == nil || !strings.Contains(err.Error(), "cannot impersonate") {
			t.Errorf("as %+v: %v", as, err)
		}
	}
	c := rest.CopyConfig(l.own)
	c.Impersonate.UserName = "system:node:pico-1"
	if _, err := kubernetes.NewForConfigOrDie(c).CoreV1().Nodes().Get(t.Context(), "pico-1", metav1.GetOptions{}); err != nil {
		t.Errorf("as the node itself: %v", err)
	}
}

// canI: in each namespace the gateway has the rights of the table, the
// ConfigMap, and those of every authenticated user.
func (l *live) canI(t *testing.T) {
	everybody := []string{"selfsubjectreviews.authentication.k8s.io", "selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io",
		"[/", "clustertrustbundles.certificates.k8s.io"}
	for namespace, want := range map[string][]string{
		"default":         {"nodes.authentication.k8s.io", "nodes ", "nodes/status", "pods", "events", "configmaps"},
		"kube-node-lease": {"nodes.authentication.k8s.io", "nodes ", "nodes/status", "pods", "leases.coordination.k8s.io"},
		"kube-system":     {"nodes.authentication.k8s.io", "nodes ", "nodes/status", "pods"},
		"picolet-system":  {"nodes.authentication.k8s.io", "nodes ", "nodes/status", "pods"},
	} {
		out, err := exec.CommandContext(t.Context(), l.cluster.Kubectl(), "--kubeconfig", l.cluster.AdminKubeconfig(), "auth", "can-i", "--list",
			"-n", namespace, "--as", gatewayUser, "--as-group", "system:serviceaccounts", "--as-group", "system:authenticated", "--no-headers").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		found := 0
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "nodes ") { // to find machines, see replica.CheckNodeNames
				line = strings.Replace(line, "[list ", "[", 1)
			}
			switch {
			case startsWithAny(line, everybody):
			case !startsWithAny(line, want):
				t.Errorf("namespace %s: unexpected right: %s", namespace, line)
			case strings.HasPrefix(line, "configmaps") && !strings.Contains(line, "[pico-config]"),
				!strings.HasPrefix(line, "configmaps") && !strings.Contains(line, "[impersonate"):
				t.Errorf("namespace %s: a right wider than meant: %s", namespace, line)
			default:
				found++
			}
		}
		if found != len(want) {
			t.Errorf("namespace %s: %d rights, want %v:\n%s", namespace, found, want, out)
		}
	}
}

func startsWithAny(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) || strings.HasPrefix(s, "[]") && strings.HasPrefix(strings.TrimSpace(s[2:]), p) {
			return true
		}
	}
	return false
}

func (l *live) configMap(t *testing.T, h *harness) {
	maps := l.client.CoreV1().ConfigMaps("default")
	w := h.watch(t, "pico-1", "&allowWatchBookmarks=true")
	defer w.cancel()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "pico-config"}, Data: map[string]string{"key": "1"}}
	cm, err := maps.Create(t.Context(), cm, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if e := w.next("ADDED"); e.Object.Metadata.ResourceVersion != cm.ResourceVersion || e.Object.Data["key"] != "1" {
		t.Errorf("%+v", e)
	}
	cm.Data["key"] = "2"
	if cm, err = maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := w.next("MODIFIED"); e.Object.Metadata.ResourceVersion != cm.ResourceVersion {
		t.Errorf("%+v", e)
	}
	if r := h.get(t, "pico-1", listMap); r.code != 200 || !strings.Contains(r.body, `"key":"2"`) {
		t.Errorf("list: %d %s", r.code, r.body)
	}
	if err := maps.Delete(t.Context(), "pico-config", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.next("DELETED")
	if r := h.get(t, "pico-1", configMaps+"/other"); r.code != http.StatusForbidden || !strings.Contains(r.message(t), "--resource-name=other") {
		t.Errorf("a ConfigMap that no Role names: %d %s", r.code, r.body)
	}
}

func (l *live) clusterAdmin(t *testing.T) {
	g, err := New(Config{Kubernetes: l.admin})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Preflight(t.Context()); err == nil || !strings.Contains(err.Error(), "rbac.yaml") || !strings.Contains(err.Error(), "cluster administrator") {
		t.Errorf("as administrator: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Serve(t.Context(), ln); err == nil {
		t.Error("Serve runs as administrator")
	}
	g, err = New(Config{Kubernetes: l.admin, AllowClusterAdmin: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Preflight(t.Context()); err != nil {
		t.Errorf("as administrator, allowed: %v", err)
	}
}

// restart: boards go on as soon as the API server is back, with the same
// gateway and the same watch.
func (l *live) restart(t *testing.T, h *harness) {
	w := h.watch(t, "pico-1", "")
	defer w.cancel()
	if err := l.cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a board is served again", func() bool { return h.get(t, "pico-1", own).code == 200 })
	eventually(t, "the gateway is ready", func() bool { return h.ready(t.Context()) == nil })
	start := time.Now()
	if _, err := l.client.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "pico-config"}, Data: map[string]string{"key": "3"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.next("ADDED")
	fmt.Fprintln(t.Output(), "ConfigMap after restart reached the board in", time.Since(start))
}
