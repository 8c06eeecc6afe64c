// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

var update = flag.Bool("update", false, "rewrite testdata")

const gatewayUser = "system:serviceaccount:" + gatewayNamespace + ":" + gatewayAccount

// What kubectl lists as the gateway's rights, beyond those of everybody, for a
// reader to judge.
func TestRightsOfTheGateway(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	for _, ns := range []string{"default", "kube-node-lease", "kube-system"} {
		t.Run(ns, func(t *testing.T) {
			t.Parallel()
			anybody := p.sortedRights(t, ns, "system:serviceaccount:"+gatewayNamespace+":default")
			own := slices.DeleteFunc(p.sortedRights(t, ns, gatewayUser), func(line string) bool { return slices.Contains(anybody, line) })
			checkGolden(t, filepath.Join("testdata", "rights-"+ns+".txt"), strings.Join(own, ""))
		})
	}
}

// rights lists a user's rights in a namespace, sorted, in narrow columns: their
// order is that of a map, their width that of the widest line.
func (p *plane) rights(t *testing.T, ns, user string) []string {
	t.Helper()
	out := p.mustKubectl(t, "auth", "can-i", "--list", "--no-headers", "--namespace="+ns, "--as="+user)
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " ")+"\n")
	}
	slices.Sort(lines)
	return lines
}

func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("got\n%s\nwant (%s; -update rewrites it)\n%s", got, file, want)
	}
}

// Rights that the gateway must never have.
func TestGatewayMayNot(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	if out := p.mustKubectl(t, "auth", "can-i", "--as="+gatewayUser, "get", "configmaps/pico-config"); out != "yes\n" {
		t.Fatalf("may the gateway read the ConfigMap of boards? %q, want yes", out)
	}
	for _, question := range []string{
		"get secrets", "list configmaps", "get configmaps/other", "get nodes", "create pods",
		"impersonate users", "impersonate groups", "impersonate groups/system:masters", "impersonate users/system:node:a",
		"impersonate-on:arbitrary-node:get secrets", "impersonate-on:arbitrary-node:delete nodes", "create serviceaccounts/token", "* *",
	} {
		t.Run(question, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"auth", "can-i", "--as=" + gatewayUser}, strings.Fields(question)...)
			out, err := p.kubectl(t.Context(), args...).Output()
			if strings.TrimSpace(string(out)) != "no" || err == nil {
				t.Errorf("may the gateway %s? %q, %v, want no", question, out, err)
			}
		})
	}
}

// Who holds the gateway's token and acts for a node has that node's rights and
// no others.
func TestNodeIsConfinedToItself(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b, other := readyBoard(t, p, boardOptions{}), readyBoard(t, p, boardOptions{})
	config, err := p.identity(t.Context(), gatewayAccount)
	must(t, err)
	config.Impersonate.UserName = "system:node:" + b.name
	node, err := kubernetes.NewForConfig(config)
	must(t, err)

	_, err = node.CoreV1().Nodes().Get(t.Context(), b.name, metav1.GetOptions{})
	must(t, err) // the way is open
	for name, try := range overreaches(t.Context(), node, b.name, other.name) {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("a node that %s gets %v, want 403", name, err)
		}
	}
}

// overreaches are what node own may not do.
func overreaches(ctx context.Context, node kubernetes.Interface, own, other string) map[string]func() error {
	core, patch := node.CoreV1(), types.StrategicMergePatchType
	return map[string]func() error{
		"reads a secret": func() error {
			_, err := core.Secrets("kube-system").Get(ctx, "any", metav1.GetOptions{})
			return err
		},
		"reads the ConfigMap of boards itself": func() error {
			_, err := core.ConfigMaps("default").Get(ctx, "pico-config", metav1.GetOptions{})
			return err
		},
		"lists all pods": func() error {
			_, err := core.Pods("").List(ctx, metav1.ListOptions{})
			return err
		},
		"lists another node's pods": func() error {
			_, err := core.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + other})
			return err
		},
		"reads another node": func() error {
			_, err := core.Nodes().Get(ctx, other, metav1.GetOptions{})
			return err
		},
		"writes another node's status": func() error {
			_, err := core.Nodes().Patch(ctx, other, patch, []byte(`{"status":{"conditions":[]}}`), metav1.PatchOptions{}, "status")
			return err
		},
		"registers another node": func() error {
			_, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: unique("other")}}, metav1.CreateOptions{})
			return err
		},
		"gives itself a role": func() error {
			_, err := core.Nodes().Patch(ctx, own, patch, []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), metav1.PatchOptions{})
			return err
		},
		"takes off its taint": func() error {
			_, err := core.Nodes().Patch(ctx, own, patch, []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{})
			return err
		},
		"deletes itself": func() error {
			return core.Nodes().Delete(ctx, own, metav1.DeleteOptions{})
		},
		"holds another node's lease": func() error {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: unique("other")}}
			_, err := node.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, lease, metav1.CreateOptions{})
			return err
		},
	}
}
