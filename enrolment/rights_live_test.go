// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestRights is what kubectl lists as the gateway's rights with rbac.yaml and
// enrolment.yaml, beyond those of any ServiceAccount, for a reader to judge.
func TestRights(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	for _, ns := range []string{"default", "kube-system", DefaultNamespace} {
		anybody := p.canList(t, ns, "default")
		own := slices.DeleteFunc(p.canList(t, ns, "picolet-gateway"), func(line string) bool { return slices.Contains(anybody, line) })
		got, file := strings.Join(own, ""), filepath.Join("testdata", "rights-"+ns+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("rights in %s:\n%s\nwant (%s; -update rewrites it)\n%s", ns, got, file, want)
		}
	}
}

func (p *plane) canList(t *testing.T, ns, account string) []string {
	t.Helper()
	out := p.kubectl(t, "auth", "can-i", "--list", "--no-headers", "--namespace="+ns, "--as=system:serviceaccount:"+DefaultNamespace+":"+account)
	var lines []string
	for line := range strings.Lines(out) {
		last := strings.LastIndex(line, "[") // the verbs, in the order of a map
		verbs := strings.Fields(strings.Trim(line[last:], "[]\n"))
		slices.Sort(verbs)
		line = strings.Join(strings.Fields(line[:last]), " ") + " [" + strings.Join(verbs, " ") + "]\n"
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// TestGatewayMayNot: with its own token, the gateway tries what it must not be able
// to do.
func TestGatewayMayNot(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	own := kubernetes.NewForConfigOrDie(p.own)
	other, some := p.namespace(t), unique("some")
	for _, ns := range []string{other, DefaultNamespace} {
		if _, err := p.client.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: some}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := own.CoreV1().Secrets(DefaultNamespace).Get(t.Context(), some, metav1.GetOptions{}); err != nil {
		t.Fatalf("a Secret of its own namespace, by name: %v", err) // the way is open
	}
	for name, try := range map[string]func(kubernetes.Interface) error{
		"reads a Secret elsewhere": func(c kubernetes.Interface) error {
			_, err := c.CoreV1().Secrets(other).Get(t.Context(), some, metav1.GetOptions{})
			return err
		},
		"lists Secrets elsewhere": func(c kubernetes.Interface) error {
			_, err := c.CoreV1().Secrets(other).List(t.Context(), metav1.ListOptions{})
			return err
		},
		"lists Secrets of its own namespace": func(c kubernetes.Interface) error {
			_, err := c.CoreV1().Secrets(DefaultNamespace).List(t.Context(), metav1.ListOptions{})
			return err
		},
		"deletes a Secret": func(c kubernetes.Interface) error {
			return c.CoreV1().Secrets(DefaultNamespace).Delete(t.Context(), some, metav1.DeleteOptions{})
		},
		"lists ConfigMaps of the cluster": func(c kubernetes.Interface) error {
			_, err := c.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
			return err
		},
		"reads a node as itself": func(c kubernetes.Interface) error {
			_, err := c.CoreV1().Nodes().Get(t.Context(), "any", metav1.GetOptions{})
			return err
		},
		"makes a token for itself": func(c kubernetes.Interface) error {
			return c.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces", DefaultNamespace, "serviceaccounts/picolet-gateway/token").
				Body([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`)).Do(t.Context()).Error()
		},
	} {
		if err := try(own); !apierrors.IsForbidden(err) {
			t.Errorf("a gateway that %s gets %v, want 403", name, err)
		}
	}
	for _, as := range []rest.ImpersonationConfig{
		{UserName: "admin"}, {UserName: "kubernetes-admin", Groups: []string{"system:masters"}}, {UserName: "system:kube-controller-manager"},
		{UserName: "system:serviceaccount:kube-system:default"}, {UserName: "system:node:any", Groups: []string{"system:masters"}},
	} {
		c := rest.CopyConfig(p.own)
		c.Impersonate = as
		_, err := kubernetes.NewForConfigOrDie(c).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("acting for %+v: %v, want 403", as, err)
		}
	}
}
