// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"encoding/binary"
	"slices"
)

// Registers of the RP2040, datasheet sections 2.19.6, 2.3.1.7 and 4.2.8.
const (
	uart0Data   = 0x40034000
	ioBank0     = 0x40014000
	sioOutSet   = 0xd0000014
	sioOESet    = 0xd0000024
	aircr       = 0xe000ed0c
	functionSIO = 5
)

const (
	flashBase = 0x10000000
	vectorsAt = 0x100
	codeAt    = 0x200
	stackTop  = 0x20041000
	spin      = 0xe7fe // branch to itself
)

// load puts a value of 32 bits into a register, 0 to 7.
func load(register, value uint32) []uint16 {
	shift := uint16(0x0200 | register<<3 | register) // lsls r, r, #8
	add := func(at uint32) uint16 { return uint16(0x3000 | register<<8 | value>>at&0xff) }
	return []uint16{uint16(0x2000 | register<<8 | value>>24), shift, add(16), shift, add(8), shift, add(0)}
}

// store writes a word; it uses registers 0 and 1.
func store(address, value uint32) []uint16 {
	return slices.Concat(load(0, address), load(1, value), []uint16{0x6001})
}

// say writes text to the console.
func say(text string) (code []uint16) {
	for _, c := range []byte(text) {
		code = append(code, store(uart0Data, uint32(c))...)
	}
	return code
}

// pause counts down from n, three cycles a count.
func pause(n uint32) []uint16 {
	return append(load(0, n), 0x3801, 0xd1fd) // subs r0, #1; bne
}

// image is a raw image of code.
func image(code ...[]uint16) []byte {
	body := append(slices.Concat(code...), spin)
	b := make([]byte, codeAt+2*len(body))
	binary.LittleEndian.PutUint32(b[252:], secondStageChecksum(b[:252]))
	for n := range uint32(48) {
		binary.LittleEndian.PutUint32(b[vectorsAt+4*n:], flashBase+codeAt|1)
	}
	binary.LittleEndian.PutUint32(b[vectorsAt:], stackTop)
	for i, half := range body {
		binary.LittleEndian.PutUint16(b[codeAt+2*i:], half)
	}
	return b
}

// secondStageChecksum is what the boot ROM wants behind the first 252 bytes, RP2040
// datasheet section 2.8.1.3.1.
func secondStageChecksum(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
