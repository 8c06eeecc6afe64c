// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"encoding/binary"
	"errors"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/text"
)

// Errors of UnmarshalBinary and AppendBinary. On each the caller logs it and
// starts from a zero Config, which the ConfigMaps then fill again.
var (
	// ErrRecordLength: the record was cut, or is none of ours.
	ErrRecordLength = errors.New("configmap: stored configuration has a wrong length; it will be made anew from the ConfigMaps")
	// ErrRecordFormat: another version of the software wrote it.
	ErrRecordFormat = errors.New("configmap: stored configuration is of an unknown format; it will be made anew from the ConfigMaps")
	// ErrRecordChecksum: the storage lost or changed bytes.
	ErrRecordChecksum = errors.New("configmap: stored configuration has a wrong checksum; it will be made anew from the ConfigMaps")
	// ErrRecordContent: a pin or the LED has a mode that does not exist, or
	// the list of versions is out of order. From AppendBinary it means that the
	// caller put such a mode into the Config.
	ErrRecordContent = errors.New("configmap: configuration makes no sense; it will be made anew from the ConfigMaps")
)

// A record is, in little endian: magic, Generation, Memory, mode and duty of
// each pin, the versions, the mode of the LED, and an FNV-1a checksum over all
// before it. Records of format 1 have no LED, and are still read.
const (
	recordMagic  = "picocfg\x02" // the last byte is the format
	recordMagic1 = "picocfg\x01"
	recordHeader = len(recordMagic) + 4
	recordLED    = 1
	recordSum    = 8

	// RecordSize is the length in bytes of a stored Config.
	RecordSize = recordHeader + RegionSize + 2*MaxPins + 24*MaxSources + recordLED + recordSum
)

// A record must fit where it is kept.
const _ = uint(board.MaxStored - RecordSize)

// AppendBinary appends c as a record of RecordSize bytes for a board.Storage.
func (c *Config) AppendBinary(dst []byte) ([]byte, error) {
	if !c.valid() {
		return dst, ErrRecordContent
	}
	start := len(dst)
	b := append(dst, recordMagic...)
	b = binary.LittleEndian.AppendUint32(b, c.Generation)
	b = append(b, c.Memory[:]...)
	for _, p := range &c.Pins {
		b = append(b, byte(p.Mode), p.Duty)
	}
	for i := range c.versions {
		b = c.versions[i].append(b)
	}
	b = append(b, byte(c.LED))
	return binary.LittleEndian.AppendUint64(b, checksum(b[start:])), nil
}

// UnmarshalBinary reads a record that AppendBinary made, of this format or of
// the one before. On an error it leaves c as it was.
func (c *Config) UnmarshalBinary(p []byte) error {
	hasLED, err := checkRecord(p)
	if err != nil {
		return err
	}
	var read Config
	read.Generation = binary.LittleEndian.Uint32(p[len(recordMagic):])
	p = p[recordHeader:]
	p = p[copy(read.Memory[:], p):]
	for i := range read.Pins {
		read.Pins[i] = board.PinState{Mode: board.PinMode(p[2*i]), Duty: p[2*i+1]}
	}
	p = p[2*MaxPins:]
	for i := range read.versions {
		read.versions[i] = parseVersion(p[24*i:])
	}
	if hasLED {
		read.LED = board.PinMode(p[24*MaxSources])
	}
	if !read.valid() {
		return ErrRecordContent
	}
	*c = read
	return nil
}

// checkRecord tells whether p is whole, and whether it is of a format with an LED.
func checkRecord(p []byte) (hasLED bool, err error) {
	if len(p) < len(recordMagic) {
		return false, ErrRecordLength
	}
	size := RecordSize
	switch text.View(p[:len(recordMagic)]) {
	case recordMagic:
		hasLED = true
	case recordMagic1:
		size -= recordLED
	default:
		return false, ErrRecordFormat
	}
	if len(p) != size {
		return false, ErrRecordLength
	}
	body, sum := p[:len(p)-recordSum], p[len(p)-recordSum:]
	if binary.LittleEndian.Uint64(sum) != checksum(body) {
		return false, ErrRecordChecksum
	}
	return hasLED, nil
}

func checksum(p []byte) uint64 { return uint64(newFNV().bytes(p)) }

func (c *Config) valid() bool {
	if c.LED > board.PinHigh {
		return false
	}
	for _, p := range &c.Pins {
		if p.Mode > board.PinPWM {
			return false
		}
	}
	for i := c.used(); i < MaxSources; i++ {
		if c.versions[i] != (Version{}) {
			return false
		}
	}
	return true
}

func (v *Version) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, v.source)
	b = binary.LittleEndian.AppendUint64(b, v.ResourceVersion)
	return binary.LittleEndian.AppendUint64(b, v.Digest)
}

// parseVersion reads 24 bytes.
func parseVersion(p []byte) Version {
	return Version{
		source:          binary.LittleEndian.Uint64(p),
		ResourceVersion: binary.LittleEndian.Uint64(p[8:]),
		Digest:          binary.LittleEndian.Uint64(p[16:]),
	}
}
