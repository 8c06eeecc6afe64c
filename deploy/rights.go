// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// roleRef names a Role, or a ClusterRole, whose namespace is empty.
type roleRef struct{ namespace, name string }

// builtIn are the rules of roles that every cluster has, and our manifests bind
// (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
var builtIn = map[roleRef][]rbacv1.PolicyRule{
	{"", "system:auth-delegator"}: {
		{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}},
		{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}},
	},
	{"kube-system", "extension-apiserver-authentication-reader"}: {
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"extension-apiserver-authentication"}},
	},
}

// Rights lists what manifests let ServiceAccount picolet-gateway do: each verb on
// each resource, by name where the rule gives names. Who asks the API server for
// them finds what was not applied yet. An error says that the manifests cannot be
// read, or bind a role that they do not hold.
func Rights(manifests []byte) ([]authorizationv1.ResourceAttributes, error) {
	objects, err := decode(manifests)
	if err != nil {
		return nil, err
	}
	rules, err := rulesOf(objects)
	if err != nil {
		return nil, err
	}
	var rights []authorizationv1.ResourceAttributes
	for _, object := range objects {
		if !strings.HasSuffix(object.GetKind(), "RoleBinding") {
			continue
		}
		var binding rbacv1.RoleBinding // a ClusterRoleBinding has the same fields
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if !bindsGateway(&binding) {
			continue
		}
		ref := roleRef{name: binding.RoleRef.Name}
		if binding.RoleRef.Kind == "Role" {
			ref.namespace = binding.Namespace
		}
		bound, ok := rules[ref]
		if !ok {
			return nil, fmt.Errorf("%s %s binds %s %s, which is not among the manifests", object.GetKind(), binding.Name, binding.RoleRef.Kind, binding.RoleRef.Name)
		}
		for _, rule := range bound {
			rights = append(rights, rightsOf(rule, binding.Namespace)...)
		}
	}
	return rights, nil
}

func rulesOf(objects []*unstructured.Unstructured) (map[roleRef][]rbacv1.PolicyRule, error) {
	rules := make(map[roleRef][]rbacv1.PolicyRule)
	for ref, rule := range builtIn {
		rules[ref] = rule
	}
	for _, object := range objects {
		if kind := object.GetKind(); kind != "Role" && kind != "ClusterRole" {
			continue
		}
		var role rbacv1.Role // a ClusterRole has the same fields
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		rules[roleRef{role.Namespace, role.Name}] = role.Rules
	}
	return rules, nil
}

func bindsGateway(b *rbacv1.RoleBinding) bool {
	for _, s := range b.Subjects {
		if s.Kind == rbacv1.ServiceAccountKind && s.Name == "picolet-gateway" {
			return true
		}
	}
	return false
}

// rightsOf takes a rule apart into rights in one namespace, or in all.
func rightsOf(rule rbacv1.PolicyRule, namespace string) (rights []authorizationv1.ResourceAttributes) {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			resource, sub, _ := strings.Cut(resource, "/")
			for _, verb := range rule.Verbs {
				for _, name := range names {
					rights = append(rights, authorizationv1.ResourceAttributes{
						Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: name, Namespace: namespace,
					})
				}
			}
		}
	}
	return rights
}
