// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"fmt"
	"time"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

// Errors of ParseFirmware, beside those of uf2.Decode.
var (
	ErrNoFirmware = errors.New("there is no firmware in it: give the UF2 file of the firmware, picolet-pico-w.uf2")
	ErrTooLarge   = errors.New("the firmware reaches to where a board keeps its configuration: it is for another board, or too large")
)

// Firmware is an image for the flash of a Pico W. Its zero value is no firmware:
// what is on the board stays.
type Firmware []uf2.Segment

// ParseFirmware reads the firmware in a UF2 file. Settings that the file has too
// are left out: they are another board's.
func ParseFirmware(file []byte) (Firmware, error) {
	segments, err := uf2.Decode(file, uf2.RP2040)
	if errors.Is(err, uf2.ErrNotUF2) {
		return nil, ErrNoFirmware
	}
	if err != nil {
		return nil, err
	}
	var f Firmware
	for _, s := range segments {
		offset, err := offsetOf(s)
		switch end := int(offset) + len(s.Bytes); {
		case err != nil:
			return nil, err
		case offset >= flash.SettingsOffset:
			continue
		case end > flash.RecordOffset:
			return nil, fmt.Errorf("%d bytes at %#x: %w", len(s.Bytes), s.Address, ErrTooLarge)
		}
		f = append(f, s)
	}
	if len(f) == 0 || f[0].Address != flashBase {
		return nil, ErrNoFirmware
	}
	return f, nil
}

// UF2 returns the file that writes the firmware, if there is any, and settings to
// a board: both copies of these, the first before the second, so that one is whole
// whenever the power is cut. Provisioned may be 0 for now. It is one file because a
// board restarts when it has all of one.
func (f Firmware) UF2(s settings.Settings) ([]byte, error) {
	if s.Provisioned == 0 {
		s.Provisioned = time.Now().Unix()
	}
	block, err := s.AppendBlock(nil)
	if err != nil {
		return nil, err
	}
	segments := append(Firmware(nil), f...)
	for i := range uint32(flash.SettingsSectors) {
		segments = append(segments, uf2.Segment{Address: flashBase + flash.SettingsOffset + i*flash.SectorSize, Bytes: block})
	}
	return uf2.EncodeFlash(uf2.RP2040, segments...)
}

// UF2 returns the file that writes settings to a board whose firmware stays.
func UF2(s settings.Settings) ([]byte, error) { return Firmware(nil).UF2(s) }

// offsetOf is where a segment is in flash.
func offsetOf(s uf2.Segment) (uint32, error) {
	if end := uint64(s.Address) + uint64(len(s.Bytes)); s.Address < flashBase || end > flashBase+flash.Size {
		return 0, fmt.Errorf("%d bytes at %#x: %w", len(s.Bytes), s.Address, ErrRange)
	}
	return s.Address - flashBase, nil
}
