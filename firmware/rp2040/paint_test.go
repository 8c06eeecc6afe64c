// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"
)

func TestPaintShowsHowFarAStackWasUsed(t *testing.T) {
	t.Parallel()
	memory := []uint32{7, canary, paint, paint, paint, 0, paint, 9}
	stack := aboveCanary(memory)
	if len(stack) != 6 || painted(stack) != 3 {
		t.Errorf("the stack has %d words, %d of them never used, want 6 and 3", len(stack), painted(stack))
	}
	if got := painted(stack[:3]); got != 3 {
		t.Errorf("%d words of an unused stack are unused, want 3", got)
	}
	if got := aboveCanary(memory[:1]); got != nil {
		t.Errorf("a stack without a canary: %v", got)
	}
	if got := painted(nil); got != 0 {
		t.Errorf("no stack has %d unused words", got)
	}
}
