// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestPoliciesAreBound: each policy denies, by a binding of its name, and holds only
// nodes that are impersonated.
func TestPoliciesAreBound(t *testing.T) {
	t.Parallel()
	objects, err := decode(Admission)
	if err != nil {
		t.Fatal(err)
	}
	policies, bindings := map[string]admissionregistrationv1.ValidatingAdmissionPolicy{}, 0
	for _, o := range objects {
		var policy admissionregistrationv1.ValidatingAdmissionPolicy
		var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
		switch o.GetKind() {
		case "ValidatingAdmissionPolicy":
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &policy, true); err != nil {
				t.Fatal(err)
			}
			policies[policy.Name] = policy
		case "ValidatingAdmissionPolicyBinding":
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &binding, true); err != nil {
				t.Fatal(err)
			}
			bindings++
			if _, known := policies[binding.Spec.PolicyName]; !known || len(binding.Spec.ValidationActions) != 1 || binding.Spec.ValidationActions[0] != admissionregistrationv1.Deny {
				t.Errorf("binding %+v", binding)
			}
		}
	}
	if len(policies) == 0 || bindings != len(policies) {
		t.Errorf("%d policies, %d bindings", len(policies), bindings)
	}
	for name, p := range policies {
		const impersonated = "request.userInfo.username.startsWith('system:node:') && (!has(request.userInfo.extra) || size(request.userInfo.extra) == 0)"
		if len(p.Spec.MatchConditions) != 1 || p.Spec.MatchConditions[0].Expression != impersonated {
			t.Errorf("policy %s holds others: %+v", name, p.Spec.MatchConditions)
		}
		for _, v := range p.Spec.Validations {
			if v.Message == "" {
				t.Errorf("policy %s refuses without a word: %s", name, v.Expression)
			}
		}
	}
}
