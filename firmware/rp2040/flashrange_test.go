// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"

	"github.com/picolet/picolet/board/flash"
)

func TestFlashRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	const image = 0x0a123 // reaches into sector 10
	for _, c := range []struct {
		off     uint32
		n, unit int
		want    error
	}{
		{0, 4096, 4096, ErrFlashImage},
		{0xa000, 4096, 4096, ErrFlashImage},
		{0xaf00, 256, 256, ErrFlashImage}, // behind the image, in its last sector
		{0xb000, 4096, 4096, nil},
		{0xb100, 256, 256, nil},
		{0xb001, 4096, 4096, ErrFlashAlign},
		{0xb000, 255, 256, ErrFlashAlign},
		{0xb000, 0, 256, nil},
		{flash.Size - 4096, 4096, 4096, nil},
		{flash.Size, 0, 1, nil},
		{flash.Size, 1, 1, ErrFlashRange},
		{flash.Size - 256, 512, 256, ErrFlashRange},
		{0xffffff00, 256, 256, ErrFlashRange},
		{0xfffff000, 4096, 4096, ErrFlashRange},
	} {
		if got := checkFlash(image, c.off, c.n, c.unit); got != c.want {
			t.Errorf("%d bytes at %#x: %v, want %v", c.n, c.off, got, c.want)
		}
	}
	if err := checkFlash(0, 0, 1, 1); err != nil {
		t.Errorf("reading the image: %v", err)
	}
}
