// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The forms of names are those of Kubernetes, on whatever the fuzzer finds.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "a", "a.b", "a..b", "-a", "a-", "A", "a/b", "a.b/c_d", "/a", "a/", "x y", "é", strings.Repeat("a", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 110 {
			return
		}
		if got, want := isSubdomain(s, 253), len(validation.IsDNS1123Subdomain(s)) == 0; got != want && !longLabel(s) {
			t.Errorf("isSubdomain(%q) = %v", s, got)
		}
		if got, want := isLabelValue(s), len(validation.IsValidLabelValue(s)) == 0; got != want {
			t.Errorf("isLabelValue(%q) = %v", s, got)
		}
		prefix, _, _ := strings.Cut(s, "/")
		if got, want := isLabelKey(s), len(validation.IsQualifiedName(s)) == 0; got != want && !longLabel(prefix) {
			t.Errorf("isLabelKey(%q) = %v", s, got)
		}
	})
}

// longLabel tells whether a DNS label is longer than DNS allows, which the
// API machinery lets pass in subdomains and the kubelet does not.
func longLabel(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 {
			return true
		}
	}
	return false
}
