// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
)

type right = authorizationv1.ResourceAttributes

func TestRights(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		manifest []byte
		n        int
		some     []right
	}{
		"own": {RBAC, 15, []right{
			{Verb: "impersonate:arbitrary-node", Group: "authentication.k8s.io", Resource: "nodes"},
			{Verb: "impersonate-on:arbitrary-node:patch", Resource: "nodes", Subresource: "status"},
			{Verb: "impersonate-on:arbitrary-node:update", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-node-lease"},
			{Verb: "watch", Resource: "configmaps", Name: "pico-config", Namespace: "default"},
			{Verb: "list", Resource: "nodes"},
		}},
		"plain impersonation": {PlainImpersonation, 2, []right{
			{Verb: "impersonate", Resource: "users"}, {Verb: "impersonate", Resource: "groups", Name: "system:nodes"},
		}},
		"certificates": {Certificates, 8, []right{
			{Verb: "approve", Group: "certificates.k8s.io", Resource: "signers", Name: "kubernetes.io/kube-apiserver-client-kubelet"},
			{Verb: "delete", Resource: "secrets", Namespace: "picolet-system"},
		}},
		"kubelet port": {KubeletPort, 0, []right{
			{Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
			{Verb: "watch", Resource: "configmaps", Name: "extension-apiserver-authentication", Namespace: "kube-system"},
		}},
		"enrolment, but for what it gives to readers": {Enrolment, 0, []right{
			{Verb: "patch", Group: "picolet.dev", Resource: "devices", Subresource: "status"},
		}},
	} {
		rights, err := Rights(tt.manifest)
		if err != nil || len(rights) < max(tt.n, len(tt.some)) || tt.n > 0 && len(rights) != tt.n {
			t.Errorf("%s: %d rights, %v", name, len(rights), err)
		}
		for i, r := range rights {
			if slices.Contains(rights[:i], r) {
				t.Errorf("%s: %+v is given twice", name, r)
			}
		}
		for _, want := range tt.some {
			if !slices.Contains(rights, want) {
				t.Errorf("%s: lacks %+v in %+v", name, want, rights)
			}
		}
	}
}

func TestRightsOfBadManifests(t *testing.T) {
	t.Parallel()
	binding := "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: there}\n" +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: picolet-gateway, namespace: there}]\n"
	for want, manifest := range map[string]string{
		"RoleBinding b binds Role r, which is not among the manifests": binding,
		"manifest 2": binding + "---\n{",
		"Role r: ":   binding + "---\napiVersion: v1\nkind: Role\nmetadata: {name: r, namespace: there}\nrules: 1\n",
	} {
		if _, err := Rights([]byte(manifest)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
