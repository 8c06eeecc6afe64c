// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
)

// full is a control plane that tests share while one of them runs.
var full struct {
	sync.Mutex
	users int
	plane *plane
}

// fullPlane is a control plane on which the gateway has all rights that it ever
// needs: for boards, enrolment and kubelet ports.
func fullPlane(t *testing.T) *plane {
	t.Helper()
	b := requireBinary(t)
	full.Lock()
	defer full.Unlock()
	if full.plane == nil {
		dir, err := os.MkdirTemp(scratch, "full")
		must(t, err)
		p, err := startPlane(context.Background(), dir, cluster.Options{Binary: b.Path, Datastore: cluster.Memory})
		must(t, err)
		full.plane = p
		for _, manifests := range [][]byte{deploy.Devices, deploy.Enrolment, deploy.KubeletPort, deploy.Admission} {
			must(t, deploy.Apply(t.Context(), p.config, manifests))
		}
	}
	full.users++
	t.Cleanup(func() {
		full.Lock()
		defer full.Unlock()
		if full.users--; full.users == 0 {
			full.plane.Kill()
			full.plane = nil
		}
	})
	return full.plane
}

// TestAllRightsOfTheGateway is what kubectl lists as the gateway's rights when all
// manifests are applied, beyond those of everybody, for a reader to judge; and
// single rights that it must never have.
func TestAllRightsOfTheGateway(t *testing.T) {
	t.Parallel()
	p := fullPlane(t)
	p.mustKubectl(t, "create", "namespace", "elsewhere")
	for _, ns := range []string{"default", "elsewhere", "kube-node-lease", "kube-system", gatewayNamespace} {
		t.Run("in "+ns, func(t *testing.T) {
			t.Parallel()
			anybody := p.sortedRights(t, ns, "system:serviceaccount:"+gatewayNamespace+":default")
			own := slices.DeleteFunc(p.sortedRights(t, ns, gatewayUser), func(line string) bool { return slices.Contains(anybody, line) })
			checkGolden(t, filepath.Join("testdata", "security-rights-"+ns+".txt"), strings.Join(own, ""))
		})
	}
	for _, q := range rightsInQuestion {
		t.Run(fmt.Sprintf("%s %s %s in %s", q.verb, q.resource, q.name, q.namespace), func(t *testing.T) {
			t.Parallel()
			if may := p.may(t, q.right()); may != q.want {
				t.Errorf("may the gateway? %v, want %v", may, q.want)
			}
		})
	}
}

// right is a question to the API server, of which kubectl auth can-i asks only
// those about resources that it knows.
type right struct {
	verb      string
	resource  string // group/resource or group/resource/subresource
	name      string
	namespace string // empty: all
	want      bool
}

func (r right) right() *authorizationv1.ResourceAttributes {
	parts := append(strings.SplitN(r.resource, "/", 3), "")
	return &authorizationv1.ResourceAttributes{
		Verb: r.verb, Group: parts[0], Resource: parts[1], Subresource: parts[2], Name: r.name, Namespace: r.namespace,
	}
}

func (p *plane) may(t *testing.T, right *authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review, err := p.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: gatewayUser, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + gatewayNamespace, "system:authenticated"},
			ResourceAttributes: right,
		},
	}, metav1.CreateOptions{})
	must(t, err)
	return review.Status.Allowed
}

// sortedRights is rights with the verbs of each line sorted: several roles may
// give some of them.
func (p *plane) sortedRights(t *testing.T, ns, user string) []string {
	t.Helper()
	lines := p.rights(t, ns, user)
	for i, line := range lines {
		last := strings.LastIndex(line, "[")
		verbs := strings.Fields(strings.Trim(line[last:], "[]\n"))
		slices.Sort(verbs)
		lines[i] = line[:last] + "[" + strings.Join(verbs, " ") + "]\n"
	}
	slices.Sort(lines)
	return lines
}

const (
	certificates   = "certificates.k8s.io/"
	authentication = "authentication.k8s.io/"
	forNode        = "impersonate-on:arbitrary-node:"
)

// rightsInQuestion are those that an intruder would look for. The few that the
// gateway has show that the questions are well put.
var rightsInQuestion = []right{
	{"get", "/secrets", "any", gatewayNamespace, true},
	{"list", "/secrets", "", gatewayNamespace, false},
	{"watch", "/secrets", "", gatewayNamespace, false},
	{"delete", "/secrets", "any", gatewayNamespace, false},
	{"get", "/secrets", "any", "default", false},
	{"get", "/secrets", "any", "kube-system", false},
	{"get", "/secrets", "any", "elsewhere", false},
	{"create", "/secrets", "", "elsewhere", false},
	{"list", "/secrets", "", "", false},

	{"get", "/configmaps", "pico-config", "default", true},
	{"get", "/configmaps", "other", "default", false},
	{"patch", "/configmaps", "pico-config", "default", false},
	{"update", "/configmaps", "extension-apiserver-authentication", "kube-system", false},
	{"list", "/configmaps", "", gatewayNamespace, false},
	{"list", "/configmaps", "", "", false},

	{"create", "/pods", "", "kube-system", false},
	{"create", "/pods", "", gatewayNamespace, false},
	{"create", "/pods/exec", "", "", false},
	{"get", "/nodes", "pico-1", "", false},
	{"list", "/nodes", "", "", true}, // to find machines, whose names boards must not take
	{"patch", "/nodes/status", "pico-1", "", false},
	{"get", "/nodes/proxy", "pico-1", "", false},
	{"get", "coordination.k8s.io/leases", "pico-1", "kube-node-lease", false},
	{"create", "/serviceaccounts/token", "picolet-gateway", gatewayNamespace, false},
	{"create", "/serviceaccounts/token", "default", "kube-system", false},

	{"create", "rbac.authorization.k8s.io/clusterrolebindings", "", "", false},
	{"escalate", "rbac.authorization.k8s.io/clusterroles", "", "", false},
	{"bind", "rbac.authorization.k8s.io/clusterroles", "cluster-admin", "", false},
	{"update", "apiextensions.k8s.io/customresourcedefinitions", "devices.picolet.dev", "", false},
	{"update", "picolet.dev/devices", "any", "", false},
	{"patch", "picolet.dev/devices", "any", "", true}, // by which a join token approves one
	{"create", "admissionregistration.k8s.io/validatingwebhookconfigurations", "", "", false},

	{"impersonate", "/users", "system:node:pico-1", "", false},
	{"impersonate", "/users", "admin", "", false},
	{"impersonate", "/groups", "system:nodes", "", false},
	{"impersonate", "/groups", "system:masters", "", false},
	{"impersonate", "/serviceaccounts", "default", "kube-system", false},
	{"impersonate:arbitrary-node", authentication + "nodes", "pico-1", "", true},
	{"impersonate:user-info", authentication + "users", "admin", "", false},
	{"impersonate:user-info", authentication + "groups", "system:masters", "", false},
	{"impersonate:serviceaccount", authentication + "serviceaccounts", "default", "kube-system", false},
	{forNode + "patch", "/nodes/status", "pico-1", "", true},
	{forNode + "delete", "/nodes", "pico-1", "", false},
	{forNode + "list", "/nodes", "", "", false},
	{forNode + "get", "/secrets", "any", "default", false},
	{forNode + "get", "/configmaps", "any", "default", false},
	{forNode + "create", "/serviceaccounts/token", "default", "kube-system", false},
	{forNode + "create", "/pods", "", "kube-system", true},
	{forNode + "create", "/pods", "", "default", false},
	{forNode + "create", "/pods/eviction", "any", "kube-system", false},
	{forNode + "watch", "/pods", "", "default", true},
	{forNode + "delete", "/pods", "any", "default", true},
	{forNode + "patch", "/pods/status", "any", "default", true},
	{forNode + "patch", "/pods", "any", "default", false},
	{forNode + "deletecollection", "/pods", "", "default", false},

	{"create", certificates + "certificatesigningrequests", "", "", false},
	{"approve", certificates + "signers", "kubernetes.io/kubelet-serving", "", true},
	{"approve", certificates + "signers", "kubernetes.io/kube-apiserver-client", "", false},
	{"approve", certificates + "signers", "kubernetes.io/kube-apiserver-client-kubelet", "", false},
	{"sign", certificates + "signers", "kubernetes.io/kubelet-serving", "", false},
	{"*", "*/*", "", "", false},
}
