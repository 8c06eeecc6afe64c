// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"regexp"
	"testing"
)

func TestUUIDsHaveTheirForm(t *testing.T) {
	t.Parallel()
	id := [8]byte{0xe6, 0x61, 1, 2, 3, 4, 5, 0xff}
	if got, want := systemUUID(id), "72703230-3430-80e6-8061-0102030405ff"; got != want {
		t.Errorf("system UUID %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for bit := range 64 { // each bit of an id counts
		var id [8]byte
		id[bit/8] = 1 << (bit % 8)
		seen[systemUUID(id)] = true
	}
	if len(seen) != 64 {
		t.Errorf("64 ids have %d UUIDs", len(seen))
	}
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, fill := range []byte{0, 0xff} {
		var random [16]byte
		for i := range random {
			random[i] = fill
		}
		if got := randomUUID(random); !form.MatchString(got) {
			t.Errorf("%q is no random UUID", got)
		}
	}
}
