// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package uf2

import (
	"fmt"
	"maps"
	"slices"
)

// sectorSize is the least that flash can be erased by, in bytes.
const sectorSize = 4096

// EncodeFlash returns a file that a board's boot ROM writes to flash completely:
// whole sectors by ascending address, filled up with 0xff. Where segments overlap,
// the last one counts.
//
// The ROM of an RP2040 erases a sector when the first block of a group of 16 comes,
// by the block's number and not by its address (erratum RP2040-E14; _write_uf2_page
// in virtual_disk.c of pico-bootrom-rp2040). A sector that is not a group of its own
// is programmed over what it held. And the ROM restarts the board as soon as all
// blocks of one file have come, so that there is no time to copy a second.
func EncodeFlash(f Family, segments ...Segment) ([]byte, error) {
	sectors := map[uint32][]byte{} // by address
	for _, s := range segments {
		if len(s.Bytes) == 0 || s.end() > 1<<32 {
			return nil, fmt.Errorf("%w: %d bytes at %#x", ErrSegment, len(s.Bytes), s.Address)
		}
		fill(sectors, s)
	}
	whole := make([]Segment, 0, len(sectors))
	for _, address := range slices.Sorted(maps.Keys(sectors)) {
		whole = append(whole, Segment{address, sectors[address]})
	}
	return Encode(f, whole...)
}

// fill copies a segment into the sectors that it touches.
func fill(sectors map[uint32][]byte, s Segment) {
	for len(s.Bytes) > 0 {
		at := s.Address % sectorSize
		sector := sectors[s.Address-at]
		if sector == nil {
			sector = slices.Repeat([]byte{0xff}, sectorSize)
			sectors[s.Address-at] = sector
		}
		n := copy(sector[at:], s.Bytes)
		s.Address, s.Bytes = s.Address+uint32(n), s.Bytes[n:]
	}
}
