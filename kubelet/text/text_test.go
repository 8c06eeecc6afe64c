// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package text

import (
	"bytes"
	"testing"
)

func TestView(t *testing.T) {
	t.Parallel()
	b := []byte("pin_1")
	view := View(b)
	if view != "pin_1" {
		t.Errorf("View is %q", view)
	}
	b[4] = '2'
	if view != "pin_2" {
		t.Errorf("View is a copy: %q", view)
	}
	if View(nil) != "" || View([]byte{}) != "" {
		t.Error("View of nothing is not empty")
	}
}

// As package bytes has them.
func FuzzCut(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"a=b", "="}, {"=", "="}, {"PWM:7", "PWM:"}, {"PWM", "PWM:"}, {"a=b=c", "a"}} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, b []byte, prefix string) {
		rest, ok := CutPrefix(b, prefix)
		wantRest, wantOK := bytes.CutPrefix(b, []byte(prefix))
		if ok != wantOK || !bytes.Equal(rest, wantRest) {
			t.Errorf("CutPrefix(%q, %q) = %q, %v", b, prefix, rest, ok)
		}
		if prefix == "" {
			return
		}
		before, after, ok := Cut(b, prefix[0])
		wantBefore, wantAfter, wantOK := bytes.Cut(b, []byte{prefix[0]})
		if ok != wantOK || !bytes.Equal(before, wantBefore) || !bytes.Equal(after, wantAfter) {
			t.Errorf("Cut(%q, %q) = %q, %q, %v", b, prefix[0], before, after, ok)
		}
	})
}
