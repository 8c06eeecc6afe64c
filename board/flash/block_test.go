// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package flash

import (
	"hash/crc32"
	"testing"
	"unsafe"
)

func TestCRC32C(t *testing.T) {
	t.Parallel()
	p := make([]byte, 0, 300)
	for i := range cap(p) {
		want := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
		if got := ^crc32c(^uint32(0), p); got != want {
			t.Fatalf("%d bytes: %08x, want %08x", len(p), got, want)
		}
		p = append(p, byte(i*i+i>>3))
	}
}

// A Record is claimed twice on a board.
func TestRecordIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Record{}); size > 384 {
		t.Errorf("a Record takes %d bytes", size)
	}
}

func BenchmarkCRC32C(b *testing.B) {
	p := make([]byte, SectorSize)
	b.SetBytes(SectorSize)
	for b.Loop() {
		crc32c(0, p)
	}
}
