// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"testing"
)

func TestKey(t *testing.T) {
	t.Parallel()
	k := Key{1, 2, 3}
	const text = "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	if k.String() != text {
		t.Errorf("text %s", k)
	}
	if got, err := ParseKey(text); err != nil || got != k {
		t.Errorf("%v: %v", got, err)
	}
	if name := k.Name(); name != "1ac2f192702849e0" { // sha256sum of the 32 bytes
		t.Errorf("name %s", name)
	}
	for _, bad := range []string{"", "AQID", text[:43], text + "=", text[:42] + "B=", text[:43] + "\n", "_" + text[1:]} {
		if _, err := ParseKey(bad); err != ErrKey {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzKey: one key has one text, for a Device is found by its key and kept as text.
func FuzzKey(f *testing.F) {
	f.Add("AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseKey(s); err == nil && k.String() != s {
			t.Errorf("%q is read as %s", s, k)
		}
	})
}

// FuzzDevice: what can be decoded can be asked, copied and encoded again.
func FuzzDevice(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"0123456789abcdef"},"spec":{"publicKey":"AQID","approved":true,"labels":{"a":"b"},"taints":[{"key":"a","effect":"NoSchedule"}]},"status":{"conditions":[{"type":"Enrolled","status":"True"}],"lastContact":"2026-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		var d Device
		if json.Unmarshal(p, &d) != nil {
			return
		}
		if d.IsApproved() && d.IsPending() {
			t.Error("approved and pending")
		}
		_, _ = d.Key()
		first, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(d.DeepCopy())
		if err != nil || string(first) != string(second) {
			t.Errorf("the copy of %s is %s: %v", first, second, err)
		}
	})
}
