// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package flash keeps small records in a board's NOR flash so that no power cut
// loses them: its settings and its last good configuration. It says which part
// of the flash is whose.
//
// It is no file system: a region holds the newest of one kind of record. It
// drives no chip; that is the Device's part.
package flash

import "errors"

// The flash of a Pico W, a W25Q16JV, in bytes. Firmware begins at 0 and must
// end before RecordOffset.
const (
	Size       = 2 << 20
	SectorSize = 4096 // the least that can be erased
	PageSize   = 256  // the least that can be programmed

	RecordOffset    = 0x1f0000 // the last good configuration
	RecordSectors   = 14
	SettingsOffset  = 0x1fe000 // two copies of the settings
	SettingsSectors = 2
)

// Device is a flash chip, with offsets from its beginning. Methods do not keep
// p. A page must take being programmed again with further bits cleared, or
// with those it has, as NOR flash without error correction does.
type Device interface {
	// ReadAt fills p.
	ReadAt(p []byte, off uint32) error
	// Erase sets the sector that begins at off to ones.
	Erase(off uint32) error
	// Program clears the bits that are zero in p. Both off and the length
	// of p are multiples of PageSize.
	Program(off uint32, p []byte) error
}

// Errors of a Record, beside those of its Device.
var (
	// ErrTooLarge: the record has more than MaxRecord bytes, or does not fit
	// the buffer of Load.
	ErrTooLarge = errors.New("flash: the record is too large: shorten it")
	// ErrNotWritten: several sectors did not keep what was programmed. The
	// old record is kept.
	ErrNotWritten = errors.New("flash: sectors do not keep what is written: the flash is worn out, replace the board")
	// ErrUnstable: the record was read at one time and not at another.
	ErrUnstable = errors.New("flash: the record does not read alike twice: check the supply, then replace the board")
	// ErrSequence: the sequence is not 1 to 1<<62 - 1.
	ErrSequence = errors.New("flash: the sequence must be 1 to 1<<62 - 1")
	// ErrLayout: the Record has no Device, its Offset is not that of a
	// sector, or it has fewer than 2 Sectors.
	ErrLayout = errors.New("flash: a record needs a device and at least 2 whole sectors")
)
