// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package uf2 reads and writes files in the USB Flashing Format, which a board
// in its boot loader takes like a file copied to a disk. The format is
// Microsoft's: https://github.com/microsoft/uf2.
//
// It takes files as the RP2040's boot ROM does (RP2040 datasheet 2.8.4.2):
// payloads of 256 bytes for flash. A file is read whole or refused whole.
package uf2

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Family says which chip a block is for.
type Family uint32

// RP2040 is the family of the Raspberry Pi Pico W.
const RP2040 Family = 0xe48bff56

// families names those that are likely to be mistaken for one another; the
// numbers are from utils/uf2families.json of the specification.
var families = map[Family]string{
	RP2040:     "RP2040",
	0xe48bff57: "RP2xxx, absolute addresses",
	0xe48bff58: "RP2xxx, data",
	0xe48bff59: "RP2350, Arm, secure",
	0xe48bff5a: "RP2350, RISC-V",
	0xe48bff5b: "RP2350, Arm, non-secure",
	0x1c5f21b0: "ESP32",
	0xbfdd4eee: "ESP32-S2",
	0xc47e5767: "ESP32-S3",
	0xd42ba06c: "ESP32-C3",
	0x68ed2b88: "SAMD21",
	0x55114460: "SAMD51",
	0xada52840: "nRF52840",
	0x57755a57: "STM32F4",
}

func (f Family) String() string {
	if name, ok := families[f]; ok {
		return fmt.Sprintf("%s (%#08x)", name, uint32(f))
	}
	return fmt.Sprintf("%#08x", uint32(f))
}

// A block is 512 bytes, little-endian: two magic words, flags, address, payload
// size, number of the block, number of blocks, family, 476 bytes of data, a
// magic word.
const (
	blockSize   = 512
	dataAt      = 32
	endAt       = blockSize - 4
	checksumAt  = endAt - 24 // start, length, MD5, where flagChecksum is set
	payloadSize = 256

	magicStart0 = 0x0a324655
	magicStart1 = 0x9e5d5157
	magicEnd    = 0x0ab16f30

	flagNotMainFlash = 0x0001
	flagContainer    = 0x1000
	flagFamily       = 0x2000
	flagChecksum     = 0x4000
)

// Errors of Decode, wrapped with the block and what was found there. Blocks are
// counted from 0, as in the file.
var (
	ErrNotUF2    = errors.New("not a UF2 file")
	ErrTruncated = errors.New("the file is cut short: copy or make it again")
	ErrDamaged   = errors.New("the file is damaged: copy or make it again")
	ErrFamily    = errors.New("the file is for another chip")
	ErrChecksum  = errors.New("the checksum is wrong: copy or make the file again")
)

// ErrSegment: a segment does not begin and end on a page of 256 bytes, is
// empty, or reaches beyond the address space.
var ErrSegment = errors.New("uf2: a segment must be whole pages of 256 bytes")

// Segment is bytes and the address where they begin.
type Segment struct {
	Address uint32
	Bytes   []byte
}

// end is the first address behind the segment.
func (s Segment) end() uint64 { return uint64(s.Address) + uint64(len(s.Bytes)) }

// Encode returns a file with the segments' blocks in the order given. That is
// the order in which a board writes them.
func Encode(f Family, segments ...Segment) ([]byte, error) {
	total := 0
	for _, s := range segments {
		if s.Address%payloadSize != 0 || len(s.Bytes) == 0 || len(s.Bytes)%payloadSize != 0 || s.end() > 1<<32 {
			return nil, fmt.Errorf("%w: %d bytes at %#x", ErrSegment, len(s.Bytes), s.Address)
		}
		total += len(s.Bytes) / payloadSize
	}
	file := make([]byte, 0, total*blockSize)
	number := 0
	for _, s := range segments {
		for at := 0; at < len(s.Bytes); at += payloadSize {
			file = appendBlock(file, f, s.Address+uint32(at), number, total, s.Bytes[at:at+payloadSize])
			number++
		}
	}
	return file, nil
}

func appendBlock(file []byte, f Family, address uint32, number, total int, payload []byte) []byte {
	begin := len(file)
	for _, word := range [...]uint32{
		magicStart0, magicStart1, flagFamily, address, payloadSize, uint32(number), uint32(total), uint32(f),
	} {
		file = binary.LittleEndian.AppendUint32(file, word)
	}
	file = append(file, payload...)
	file = append(file, make([]byte, begin+endAt-len(file))...)
	return binary.LittleEndian.AppendUint32(file, magicEnd)
}
