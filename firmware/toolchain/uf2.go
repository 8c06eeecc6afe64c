// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/picolet/picolet/uf2"
)

// The RP2040's flash, of which a Pico has 2 MB (datasheet, 2.6.3).
const (
	flashStart = 0x1000_0000
	flashSize  = 2 << 20
	page       = 256 // bytes
)

var errNoImage = errors.New("nothing in it belongs into the flash of a Pico: build it for target pico or pico-w")

// convert writes what an ELF file has for the flash as a UF2 file.
func convert(from, to string) error {
	f, err := elf.Open(from)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	defer func() { _ = f.Close() }()
	image, err := flashImage(f)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	file, err := uf2.Encode(uf2.RP2040, uf2.Segment{Address: flashStart, Bytes: image})
	if err != nil {
		return err
	}
	return os.WriteFile(to, file, 0o644)
}

// flashImage is the flash from its start to the last byte that is loaded, in whole
// pages. What lies between segments is zero.
func flashImage(f *elf.File) ([]byte, error) {
	var image []byte
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Filesz == 0 {
			continue
		}
		at := p.Paddr - flashStart
		if p.Paddr < flashStart || at > flashSize || p.Filesz > flashSize-at {
			return nil, fmt.Errorf("%w: %d bytes at %#x", errNoImage, p.Filesz, p.Paddr)
		}
		end := (at + p.Filesz + page - 1) / page * page
		if missing := int(end) - len(image); missing > 0 {
			image = append(image, make([]byte, missing)...)
		}
		if _, err := io.ReadFull(p.Open(), image[at:at+p.Filesz]); err != nil {
			return nil, err
		}
	}
	if len(image) == 0 {
		return nil, errNoImage
	}
	return image, nil
}
