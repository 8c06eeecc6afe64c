// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDevicesDecodes(t *testing.T) {
	t.Parallel()
	objects, err := decode(Devices)
	if err != nil || len(objects) != 1 || objects[0].GetKind() != "CustomResourceDefinition" || objects[0].GetName() != "devices.picolet.dev" {
		t.Fatalf("%v: %v", objects, err)
	}
}

// TestEnrolmentGivesNoWildcards: the fragment must not widen what the
// gateway may read. The API server's view of the same is tested in package
// enrolment.
func TestEnrolmentGivesNoWildcards(t *testing.T) {
	t.Parallel()
	objects, err := decode(Enrolment)
	if err != nil || len(objects) != 7 {
		t.Fatalf("%d objects: %v", len(objects), err)
	}
	for _, o := range objects {
		rules, _, _ := unstructured.NestedSlice(o.Object, "rules")
		for _, r := range rules {
			rule := r.(map[string]any)
			for _, field := range []string{"apiGroups", "resources", "verbs"} {
				values, _, err := unstructured.NestedStringSlice(rule, field)
				if err != nil || slices.Contains(values, "*") {
					t.Errorf("%s %s: %s %v: %v", o.GetKind(), o.GetName(), field, values, err)
				}
			}
			resources, _, _ := unstructured.NestedStringSlice(rule, "resources")
			verbs, _, _ := unstructured.NestedStringSlice(rule, "verbs")
			if slices.Contains(resources, "secrets") && (o.GetKind() != "Role" || slices.Contains(verbs, "list") || slices.Contains(verbs, "watch")) {
				t.Errorf("%s %s may %v secrets", o.GetKind(), o.GetName(), verbs)
			}
		}
	}
}
