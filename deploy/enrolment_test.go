// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"regexp"
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
	if err != nil || len(objects) != 9 {
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

// TestDevicesExplain: kubectl explain device has a text for each field, without links
// of Go's documentation.
func TestDevicesExplain(t *testing.T) {
	t.Parallel()
	objects, err := decode(Devices)
	if err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(objects[0].Object, "spec", "versions")
	if err != nil || len(versions) == 0 {
		t.Fatalf("versions %v: %v", versions, err)
	}
	link := regexp.MustCompile(`(^|\s)\[\w`)
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		description, _ := schema["description"].(string)
		if link.MatchString(description) {
			t.Errorf("%s: a link: %s", path, description)
		}
		if items, ok := schema["items"].(map[string]any); ok {
			walk(path+"[]", items)
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, p := range properties {
			property := p.(map[string]any)
			if property["description"] == nil && name != "metadata" {
				t.Errorf("%s.%s: no description", path, name)
			}
			walk(path+"."+name, property)
		}
	}
	for _, v := range versions {
		schema, _, err := unstructured.NestedMap(v.(map[string]any), "schema", "openAPIV3Schema")
		if err != nil {
			t.Fatal(err)
		}
		walk("device", schema)
	}
}
