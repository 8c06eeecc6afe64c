// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linked_test

import (
	"testing"
	"unsafe"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

func TestALinkTakesLessThanSixKiB(t *testing.T) {
	t.Parallel()
	// On a board pointers are half as long.
	total := int(unsafe.Sizeof(linked.Kubelet{})) + noise.BufferSize
	t.Logf("%d bytes, and %d of receive buffers", unsafe.Sizeof(linked.Kubelet{}), noise.BufferSize)
	limit := 6 << 10
	if unsafe.Sizeof(uintptr(0)) == 8 {
		limit += 700 // of longer pointers: GOARCH=386 takes the limit as a board does
	}
	if total > limit {
		t.Errorf("%d bytes, more than %d", total, limit)
	}
}
