// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"machine"
	"unsafe"

	"github.com/picolet/picolet/board/flash"
)

// Flash is the board's flash chip, by offsets from its beginning. The functions of
// the boot ROM do the work, from RAM and with interrupts disabled: an erase
// takes 45 ms and at most 400, a page 0.4 ms and at most 3 (W25Q16JV datasheet, 9.6).
// The image that runs is out of bounds for Erase and Program.
type Flash struct {
	page [flash.PageSize]byte // what is programmed must not lie in flash itself
}

var _ flash.Device = (*Flash)(nil)

// ReadAt fills p from off on. The error is ErrFlashRange beyond the chip.
func (f *Flash) ReadAt(p []byte, off uint32) error {
	if err := checkFlash(0, off, len(p), 1); err != nil {
		return err
	}
	copy(p, unsafe.Slice((*byte)(unsafe.Pointer(uintptr(flashStart+off))), len(p)))
	return nil
}

// Erase sets the 4096 bytes of a sector to 0xff.
func (f *Flash) Erase(off uint32) error {
	if err := checkFlash(imageEnd(), off, flash.SectorSize, flash.SectorSize); err != nil {
		return err
	}
	return machine.Flash.EraseBlocks((int64(off)-dataStart())/flash.SectorSize, 1)
}

// Program clears the bits of whole pages of 256 bytes that are zero in p.
func (f *Flash) Program(off uint32, p []byte) error {
	if err := checkFlash(imageEnd(), off, len(p), flash.PageSize); err != nil {
		return err
	}
	for at := 0; at < len(p); at += flash.PageSize {
		copy(f.page[:], p[at:])
		if _, err := machine.Flash.WriteAt(f.page[:], int64(off)+int64(at)-dataStart()); err != nil {
			return err
		}
	}
	return nil
}

// dataStart is the offset from which package machine counts: the sector behind the
// image.
func dataStart() int64 { return int64(machine.FlashDataStart()) - flashStart }
