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
	ErrPayload   = errors.New("the boot ROM of an RP2040 takes payloads of 256 bytes: make the file by a tool for that chip")
	ErrArchive   = errors.New("the file is an archive of files, not a flash image")
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
