// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package uf2

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Is tells whether a file begins as UF2 does.
func Is(file []byte) bool {
	return len(file) >= 8 && binary.LittleEndian.Uint32(file) == magicStart0 && binary.LittleEndian.Uint32(file[4:]) == magicStart1
}

// block is one block of a file.
type block struct {
	at      int // in the file, counted from 0
	flags   uint32
	address uint32
	number  uint32
	total   uint32
	family  Family // 0: none is named
	size    uint32 // of the payload
	raw     []byte
}

func (b *block) payload() []byte { return b.raw[dataAt : dataAt+payloadSize] }

func (b *block) errorf(err error, format string, args ...any) error {
	return fmt.Errorf("block %d: %s: %w", b.at, fmt.Sprintf(format, args...), err)
}

// Decode returns what a file holds for a family, by address, adjacent blocks
// joined. Blocks for other families and those that are not for flash are left
// out, as boot loaders do; but a file with nothing else is refused.
func Decode(file []byte, f Family) ([]Segment, error) {
	blocks, err := split(file)
	if err != nil {
		return nil, err
	}
	blocks, err = choose(blocks, f)
	if err != nil {
		return nil, err
	}
	if err := checkNumbers(blocks); err != nil {
		return nil, err
	}
	segments, err := join(blocks)
	if err != nil {
		return nil, err
	}
	for i := range blocks {
		if err := blocks[i].verify(segments); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// split cuts a file into blocks.
func split(file []byte) ([]block, error) {
	if !Is(file) {
		return nil, ErrNotUF2
	}
	if over := len(file) % blockSize; over != 0 {
		return nil, fmt.Errorf("%d bytes behind the last block: %w", over, ErrTruncated)
	}
	blocks := make([]block, len(file)/blockSize)
	for i := range blocks {
		raw := file[i*blockSize : (i+1)*blockSize]
		word := func(at int) uint32 { return binary.LittleEndian.Uint32(raw[at:]) }
		blocks[i] = block{
			at: i, raw: raw, flags: word(8), address: word(12), size: word(16), number: word(20), total: word(24),
		}
		b := &blocks[i]
		if b.flags&flagFamily != 0 {
			b.family = Family(word(28))
		}
		if !Is(raw) || word(endAt) != magicEnd {
			return nil, b.errorf(ErrDamaged, "the magic words are missing")
		}
		if b.flags&flagContainer != 0 {
			return nil, fmt.Errorf("block %d: %w", i, ErrArchive)
		}
	}
	return blocks, nil
}

// choose returns the blocks of a family.
func choose(blocks []block, f Family) ([]block, error) {
	var chosen []block
	var others []string
	for _, b := range blocks {
		switch {
		case b.flags&flagNotMainFlash != 0:
		case b.family == f && b.size != payloadSize:
			return nil, b.errorf(ErrPayload, "its payload is %d bytes", b.size)
		case b.family == f:
			chosen = append(chosen, b)
		case !slices.Contains(others, b.family.String()):
			others = append(others, b.family.String())
		}
	}
	switch {
	case len(chosen) > 0:
		return chosen, nil
	case len(others) == 0:
		return nil, fmt.Errorf("no block is for flash: %w", ErrFamily)
	}
	return nil, fmt.Errorf("it is for %s, not for %v: %w", strings.Join(others, " and for "), f, ErrFamily)
}

// checkNumbers makes sure that each block is there once.
func checkNumbers(blocks []block) error {
	seen := make([]bool, len(blocks))
	for i := range blocks {
		b := &blocks[i]
		switch {
		case b.total != blocks[0].total:
			return b.errorf(ErrDamaged, "it is one of %d, others one of %d", b.total, blocks[0].total)
		case b.number >= b.total:
			return b.errorf(ErrDamaged, "it has number %d of %d", b.number, b.total)
		case b.total > uint32(len(blocks)):
			return fmt.Errorf("%d of %d blocks: %w", len(blocks), b.total, ErrTruncated)
		case seen[b.number]:
			return b.errorf(ErrDamaged, "number %d is there twice", b.number)
		}
		seen[b.number] = true
	}
	return nil
}

// join orders blocks by address and joins those that are adjacent.
func join(blocks []block) ([]Segment, error) {
	ordered := slices.Clone(blocks)
	slices.SortFunc(ordered, func(a, b block) int { return cmp.Compare(a.address, b.address) })
	var segments []Segment
	for i := range ordered {
		b := &ordered[i]
		if b.address%payloadSize != 0 || uint64(b.address)+payloadSize > 1<<32 {
			return nil, b.errorf(ErrDamaged, "address %#x is not that of a page", b.address)
		}
		last := len(segments) - 1
		switch {
		case last >= 0 && uint64(b.address) < segments[last].end():
			return nil, b.errorf(ErrDamaged, "address %#x is there twice", b.address)
		case last >= 0 && uint64(b.address) == segments[last].end():
			segments[last].Bytes = append(segments[last].Bytes, b.payload()...)
		default:
			segments = append(segments, Segment{b.address, bytes.Clone(b.payload())})
		}
	}
	return segments, nil
}

// verify compares the MD5 of a region that a block may bring along.
func (b *block) verify(segments []Segment) error {
	if b.flags&flagChecksum == 0 {
		return nil
	}
	start := binary.LittleEndian.Uint32(b.raw[checksumAt:])
	length := binary.LittleEndian.Uint32(b.raw[checksumAt+4:])
	for _, s := range segments {
		if start >= s.Address && uint64(start)+uint64(length) <= s.end() {
			sum := md5.Sum(s.Bytes[start-s.Address:][:length])
			if !bytes.Equal(sum[:], b.raw[checksumAt+8:endAt]) {
				return b.errorf(ErrChecksum, "%d bytes at %#x", length, start)
			}
			return nil
		}
	}
	return b.errorf(ErrChecksum, "%d bytes at %#x are not in the file", length, start)
}
