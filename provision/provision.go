// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provision makes the files that give boards their settings, and reads
// them back: a UF2 for each board, which its boot loader writes beside the
// firmware or with it. It takes settings from flags and from CSV files.
//
// It talks to no board, and puts no value into an error message: a passphrase
// could stand in any column.
package provision

import (
	"errors"
	"fmt"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

// flashBase is where the processor sees the flash (RP2040 datasheet 2.2.1).
const flashBase = 0x10000000

// Errors of Read, beside those of uf2.Decode and settings.Load.
var (
	ErrFirmware = errors.New("this is firmware, which holds no settings: give the file that picolet provision made, or a copy of all flash")
	ErrNotFlash = errors.New("this is neither a UF2 file nor a copy of all flash (2 MiB, 2097152 bytes)")
	ErrRange    = errors.New("this is not for the flash of a Pico W")
)

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
			return nil, fmt.Errorf("%w, but %d bytes", ErrNotFlash, len(file))
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
		offset, err := offsetOf(s)
		if err != nil {
			return nil, err
		}
		copy(chip[offset:], s.Bytes)
		holdsSettings = holdsSettings || int(offset)+len(s.Bytes) > flash.SettingsOffset
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
