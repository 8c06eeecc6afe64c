// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package flash

import "encoding/binary"

// A block holds one record. It begins on a page with a header, little-endian:
//
//	 0  magic     8 bytes
//	 8  sequence  8, larger than that of any older block
//	16  length    4, of the record behind the header
//	20  sum       4, CRC-32C of bytes 0 to 19 and the record
//	24  unused    4, ones
//	28  seal      4, ones; zeros once the block has been programmed to its end
//
// What a power cut interrupts may read as done at one time and as not done at
// another. The seal tells that no programming of the block was interrupted: it
// is begun only when that has ended. A block that lacks it may still be whole.
const (
	magic      = "picolet\x02"
	sumAt      = 20
	sealAt     = 28
	headerSize = 32

	// maxSequence keeps garbage from being the last block ever.
	maxSequence = 1 << 62
)

// MaxRecord is the longest record, in bytes: it fills a sector.
const MaxRecord = SectorSize - headerSize

type block struct {
	at       uint32 // offset in flash
	sequence uint64 // 0: there is no block
	length   uint32
	sum      uint32
	sealed   bool
}

// parseBlock reads the header at the beginning of p; false if there is none.
func parseBlock(at uint32, p []byte) (block, bool) {
	b := block{
		at:       at,
		sequence: binary.LittleEndian.Uint64(p[8:]),
		length:   binary.LittleEndian.Uint32(p[16:]),
		sum:      binary.LittleEndian.Uint32(p[sumAt:]),
		sealed:   binary.LittleEndian.Uint32(p[sealAt:]) == 0,
	}
	ok := equal(p[:len(magic)], magic) && b.sequence > 0 && b.sequence < maxSequence && b.length <= MaxRecord
	return b, ok
}

// equal compares without the copies that the compiler of boards makes to compare
// strings, and so does package bytes.
func equal[T string | []byte](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// begins tells whether p begins with the header of b, sealed or not.
func (b *block) begins(p []byte) bool {
	now, ok := parseBlock(b.at, p)
	now.sealed = b.sealed
	return ok && now == *b
}

// appendHeader appends the header of an unsealed block.
func (b *block) appendHeader(p []byte) []byte {
	p = b.appendSummed(p)
	p = binary.LittleEndian.AppendUint32(p, b.sum)
	return binary.LittleEndian.AppendUint64(p, ^uint64(0))
}

// appendSummed appends the part of the header that the sum covers.
func (b *block) appendSummed(p []byte) []byte {
	p = append(p, magic...)
	p = binary.LittleEndian.AppendUint64(p, b.sequence)
	return binary.LittleEndian.AppendUint32(p, b.length)
}

// sumOf is the sum that belongs to a block with this record.
func (b *block) sumOf(record []byte) uint32 {
	var head [sumAt]byte
	return ^crc32c(crc32c(^uint32(0), b.appendSummed(head[:0])), record)
}

// size is what the block takes in flash, in whole pages.
func (b *block) size() uint32 {
	return (headerSize + b.length + PageSize - 1) / PageSize * PageSize
}

// newer tells whether b replaces other. Of two copies the first counts.
func (b *block) newer(other *block) bool {
	return b.sequence > other.sequence || b.sequence == other.sequence && b.at < other.at
}

// AppendBlock appends what a Record finds as its newest record if it is written
// to the beginning of one of its erased sectors, and all others have smaller
// sequences: whole pages. The sequence is 1 to 1<<62 - 1.
func AppendBlock(p []byte, sequence uint64, record []byte) ([]byte, error) {
	if len(record) > MaxRecord {
		return p, ErrTooLarge
	}
	if sequence == 0 || sequence >= maxSequence {
		return p, ErrSequence
	}
	b := block{sequence: sequence, length: uint32(len(record))}
	b.sum = b.sumOf(record)
	end := len(p) + int(b.size())
	p = append(b.appendHeader(p), record...)
	for len(p) < end {
		p = append(p, 0xff)
	}
	return p, nil
}

// crc32c adds p to a CRC-32 with Castagnoli's polynomial, complemented by the
// caller before the first byte and after the last (RFC 3720, B.4). The table of
// a nibble takes 64 bytes where those of hash/crc32 take 9 KB of RAM.
func crc32c(sum uint32, p []byte) uint32 {
	for _, c := range p {
		sum ^= uint32(c)
		sum = sum>>4 ^ nibbles[sum&15]
		sum = sum>>4 ^ nibbles[sum&15]
	}
	return sum
}

var nibbles = [16]uint32{
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
}
