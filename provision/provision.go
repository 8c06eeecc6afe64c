// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provision makes the files that give boards their settings, and reads
// them back: a small UF2 for each board, which its boot loader writes beside
// the firmware. It takes settings from flags and from CSV files.
//
// It talks to no board, and puts no value into an error message: a passphrase
// could stand in any column.
package provision

import (
	"errors"
	"fmt"
	"time"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

// flashBase is where the processor sees the flash (RP2040 datasheet 2.2.1).
const flashBase = 0x10000000

// Errors of Read, beside those of uf2.Decode and settings.Load.
var (
	ErrFirmware = errors.New("this is firmware, which holds no settings: give the file that picolet provision made, or a copy of all flash")
	ErrNotFlash = errors.New("this is neither a UF2 file nor a copy of all flash (2 MiB)")
	ErrRange    = errors.New("this is not for the flash of a Pico W")
)

// UF2 returns the file that writes settings to a board: both copies, the first
// before the second, so that one is whole whenever the power is cut. Provisioned
// may be 0 for now.
func UF2(s settings.Settings) ([]byte, error) {
	if s.Provisioned == 0 {
		s.Provisioned = time.Now().Unix()
	}
	block, err := s.AppendBlock(nil)
	if err != nil {
		return nil, err
	}
	var copies []uf2.Segment
	for i := range uint32(flash.SettingsSectors) {
		copies = append(copies, uf2.Segment{Address: flashBase + flash.SettingsOffset + i*flash.SectorSize, Bytes: block})
	}
	return uf2.Encode(uf2.RP2040, copies...)
}

// Read returns the settings in a UF2 file, or in a copy of all flash.
func Read(file []byte) (settings.Settings, error) {
	chip, err := load(file)
	if err != nil {
		return settings.Settings{}, err
	}
	return settings.Load(chip)
}

// load returns the flash as the file would leave it.
func load(file []byte) (memory, error) {
	if !uf2.Is(file) {
		switch {
		case len(file) > 4 && string(file[:4]) == "\x7fELF":
			return nil, ErrFirmware
		case len(file) != flash.Size:
			return nil, ErrNotFlash
		}
		return append(memory(nil), file...), nil
	}
	segments, err := uf2.Decode(file, uf2.RP2040)
	if err != nil {
		return nil, err
	}
	chip := erased()
	holdsSettings := false
	for _, s := range segments {
		end := uint64(s.Address) + uint64(len(s.Bytes))
		if s.Address < flashBase || end > flashBase+flash.Size {
			return nil, fmt.Errorf("%d bytes at %#x: %w", len(s.Bytes), s.Address, ErrRange)
		}
		copy(chip[s.Address-flashBase:], s.Bytes)
		holdsSettings = holdsSettings || end > flashBase+flash.SettingsOffset
	}
	if !holdsSettings {
		return nil, ErrFirmware
	}
	return chip, nil
}

// memory is flash in memory.
type memory []byte

var _ flash.Device = memory(nil)

func erased() memory {
	m := make(memory, flash.Size)
	for i := range m {
		m[i] = 0xff
	}
	return m
}

func (m memory) ReadAt(p []byte, off uint32) error {
	if uint64(off)+uint64(len(p)) > uint64(len(m)) {
		return ErrRange
	}
	copy(p, m[off:])
	return nil
}

// Erase is never asked for by who only loads.
func (m memory) Erase(uint32) error { return errors.ErrUnsupported }

func (m memory) Program(off uint32, p []byte) error {
	if uint64(off)+uint64(len(p)) > uint64(len(m)) {
		return ErrRange
	}
	for i, b := range p {
		m[int(off)+i] &= b
	}
	return nil
}
