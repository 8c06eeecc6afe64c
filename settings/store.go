// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"

	"github.com/picolet/picolet/board/flash"
)

// ErrNone: the board is not provisioned, or its settings cannot be read at all.
var ErrNone = errors.New("settings: the board has none: run \"picolet provision\" and copy the file to it")

// Load reads the settings of a board, and checks them. It allocates as many
// bytes as they take. Besides ErrNone, errors are those of Parse, Validate,
// flash.Record and the device.
func Load(d flash.Device) (Settings, error) {
	r := record(d)
	n, err := r.Size()
	if err != nil {
		return Settings{}, err
	}
	if n == 0 {
		return Settings{}, ErrNone
	}
	p := make([]byte, n)
	if n, err = r.Load(p); err != nil {
		return Settings{}, err
	}
	s, err := Parse(p[:n])
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return Settings{}, err
	}
	return s, nil
}

// usualSize is what most settings take when written, in bytes. A board that runs has no
// MaxSize bytes to spare.
const usualSize = 512

// Save replaces the settings of a board. After a power cut, Load returns the
// old ones or the new ones.
func Save(d flash.Device, s *Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	p, err := s.Append(make([]byte, 0, usualSize))
	if err != nil {
		return err
	}
	return record(d).Save(p)
}

func record(d flash.Device) *flash.Record {
	return &flash.Record{Device: d, Offset: flash.SettingsOffset, Sectors: flash.SettingsSectors}
}

// reserve is room for the keys that a board adds by itself: its own and the gateway's
// next one.
const reserve = 2 * (3 + KeySize)

// AppendBlock appends whole pages that hold the settings, for the beginning of
// either of their erased sectors. The later Provisioned counts. Settings to which the
// board could add no key are ErrTooLarge.
func (s Settings) AppendBlock(b []byte) ([]byte, error) {
	if err := s.Validate(); err != nil {
		return b, err
	}
	p, err := s.Append(make([]byte, 0, MaxSize))
	if err == nil && len(p) > MaxSize-reserve {
		err = ErrTooLarge
	}
	if err != nil {
		return b, err
	}
	return flash.AppendBlock(b, uint64(s.Provisioned), p)
}
