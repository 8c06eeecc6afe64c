// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/credentials"
	"github.com/picolet/picolet/deploy"
)

// TestLiveIdentity tries each way to act for nodes before the real API server,
// with and without constrained impersonation, and with the rights that each has.
func TestLiveIdentity(t *testing.T) {
	t.Parallel()
	for name, feature := range map[string]string{"with the feature": "true", "without": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLive(t, "feature-gates=ConstrainedImpersonation="+feature)
			if _, err := l.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			var rights []Right
			for _, a := range mustRights(t, deploy.KubeletPort) {
				rights = append(rights, Right{a, "deploy/kubelet-port.yaml"})
			}
			g := l.unserved(t, nil)
			if err := g.Preflight(t.Context(), rights...); err == nil || !strings.Contains(err.Error(), "tokenreviews.authentication.k8s.io") && feature == "true" {
				t.Errorf("Preflight without kubelet-port.yaml: %v", err)
			}
			if feature == "true" {
				l.preflight(t, "", IdentityConstrained, "")
				l.lifeOf(t, IdentityConstrained, "pico-constrained")
			} else {
				l.preflight(t, "", "", "must be Kubernetes 1.36 or newer")
			}
			l.preflight(t, IdentityPlain, "", "kubectl apply -f deploy/plain-impersonation.yaml")
			l.preflight(t, IdentityCertificates, "", "kubectl apply -f deploy/certificates.yaml")
			l.apply(t, deploy.PlainImpersonation)
			l.apply(t, deploy.Certificates)
			l.preflight(t, "", IdentityPlain, "")
			l.preflight(t, IdentityCertificates, IdentityCertificates, "")
			l.preflight(t, IdentityConstrained, "", "kubectl delete -f deploy/plain-impersonation.yaml")
			l.nameUsers(t)
			l.lifeOf(t, IdentityPlain, "pico-plain")
			l.lifeOf(t, IdentityCertificates, "pico-certified")
		})
	}
}

func mustRights(t *testing.T, manifest []byte) []authorizationv1.ResourceAttributes {
	t.Helper()
	rights, err := deploy.Rights(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return rights
}

func (l *live) apply(t *testing.T, manifest []byte) {
	t.Helper()
	if err := deploy.Apply(t.Context(), l.admin, manifest); err != nil {
		t.Fatal(err)
	}
}

// unserved is a gateway that serves nobody.
func (l *live) unserved(t *testing.T, change func(*Config)) *Gateway {
	t.Helper()
	c := Config{Kubernetes: l.own}
	if change != nil {
		change(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// preflight runs Preflight until it finds want, or an error that says says.
func (l *live) preflight(t *testing.T, identity, want IdentityMode, says string) {
	t.Helper()
	g := l.unserved(t, func(c *Config) { c.Identity, c.Credentials = identity, l.pool(t) })
	var err error
	eventually(t, "rights are in force", func() bool { // RBAC rules take a moment
		err = g.Preflight(t.Context())
		return (err == nil) == (want != "")
	})
	if want != "" && g.upstream.mode() != want || want == "" && !strings.Contains(err.Error(), says) {
		t.Errorf("identity %q: found %s, %v", identity, g.upstream.mode(), err)
	}
}

func (l *live) pool(t *testing.T) *credentials.Pool {
	t.Helper()
	pool, err := credentials.New(credentials.Config{Kubernetes: l.own})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// lifeOf goes through a node's life, and tries what is another's.
func (l *live) lifeOf(t *testing.T, identity IdentityMode, node string) {
	t.Helper()
	g := l.unserved(t, func(c *Config) { c.Identity, c.Credentials = identity, l.pool(t) })
	lease := `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"` + node + `","namespace":"kube-node-lease"},"spec":{"holderIdentity":"` + node + `"}}`
	nodes := "/api/v1/nodes/"
	for _, tt := range []struct {
		request
		code int
	}{
		{request{method: "POST", path: "/api/v1/nodes", body: []byte(`{"metadata":{"name":"` + node + `"}}`), contentType: jsonType}, 201},
		{request{method: "PATCH", path: nodes + node + "/status", body: []byte(`{"status":{"capacity":{"cpu":"1"}}}`), contentType: strategicPatchType}, 200},
		{request{method: "POST", path: leasePath, body: []byte(lease), contentType: jsonType}, 201},
		{request{method: "GET", path: leasePath + "/" + node}, 200},
		{request{method: "PATCH", path: nodes + "other/status", body: []byte(`{"status":{"capacity":{"cpu":"1"}}}`), contentType: strategicPatchType}, 403},
		{request{method: "GET", path: nodes + "other"}, 403},
		{request{method: "GET", path: leasePath + "/other"}, 403},
		{request{method: "GET", path: "/api/v1/secrets"}, 403},
		{request{method: "POST", path: "/api/v1/nodes", body: []byte(`{"metadata":{"name":"another"}}`), contentType: jsonType}, 403},
	} {
		tt.node = node
		if a, err := g.upstream.do(t.Context(), tt.request); err != nil {
			t.Errorf("%s: %s %s: %v", identity, tt.method, tt.path, err)
		} else if a.code != tt.code {
			t.Errorf("%s: %s %s: %d %s; want %d", identity, tt.method, tt.path, a.code, excerpt(a.body), tt.code)
		}
	}
	client := kubernetes.NewForConfigOrDie(g.NodeConfig(node))
	if _, err := client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{}); err != nil {
		t.Errorf("%s: client of the node: %v", identity, err)
	}
	if _, err := client.CoreV1().Nodes().Get(t.Context(), "other", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("%s: client of the node, for another: %v", identity, err)
	}
}

// nameUsers: with the users named, as the comment of plain-impersonation.yaml
// advises, the gateway acts for these nodes and for nobody else.
func (l *live) nameUsers(t *testing.T) {
	roles := l.client.RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), "picolet-plain-impersonation", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "users") })
	role.Rules[i].ResourceNames = []string{nodeUserPrefix + probeNode, nodeUserPrefix + "pico-plain"}
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	as := func(user string) error {
		c := rest.CopyConfig(l.own)
		c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{nodesGroup}}
		_, err := kubernetes.NewForConfigOrDie(c).CoreV1().Nodes().Get(t.Context(), "pico-plain", metav1.GetOptions{})
		return err
	}
	eventually(t, "the names count", func() bool { return apierrors.IsForbidden(as("system:kube-controller-manager")) })
	if err := as(nodeUserPrefix + "pico-2"); !apierrors.IsForbidden(err) {
		t.Errorf("as a node that is not named: %v", err)
	}
	l.preflight(t, IdentityPlain, IdentityPlain, "")
	g := l.unserved(t, func(c *Config) { c.Identity, c.NodeNames = IdentityPlain, []string{"pico-plain", "pico-2", "x-*"} })
	if err := g.Preflight(t.Context()); err == nil || !strings.Contains(err.Error(), "may not impersonate users system:node:pico-2: ") {
		t.Errorf("with a node name that is not in the role: %v", err)
	}
}
