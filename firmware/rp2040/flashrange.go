// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"errors"

	"github.com/picolet/picolet/board/flash"
)

// Errors of Flash.
var (
	ErrFlashRange = errors.New("rp2040: beyond the flash chip's 2 MiB")
	ErrFlashAlign = errors.New("rp2040: not whole sectors to erase, or pages to program")
	ErrFlashImage = errors.New("rp2040: that flash holds the firmware that runs")
)

// checkFlash checks n bytes from off on: whole units, within the chip, and in no
// sector that the image, which ends before imageEnd, reaches into.
func checkFlash(imageEnd, off uint32, n, unit int) error {
	switch {
	case n < 0 || off > flash.Size || uint32(n) > flash.Size-off:
		return ErrFlashRange
	case off%uint32(unit) != 0 || n%unit != 0:
		return ErrFlashAlign
	case off/flash.SectorSize < (imageEnd+flash.SectorSize-1)/flash.SectorSize:
		return ErrFlashImage
	}
	return nil
}
