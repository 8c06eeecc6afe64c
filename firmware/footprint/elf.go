// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The RP2040's memory, by its datasheet, 2.2.
const (
	flashStart, flashEnd = 0x1000_0000, 0x1100_0000
	ramStart, ramEnd     = 0x2000_0000, 0x2004_2000
)

// footprint is what an image takes of a board, in bytes.
type footprint struct {
	flash  uint64 // code, constants and the first values of variables
	static uint64 // variables
	stack  uint64 // of interrupts and the start, for all cores
	heap   uint64 // what is left of RAM for the heap, with the goroutines' stacks
}

// read reads the footprint of an image that TinyGo linked for an RP2040.
func read(r io.ReaderAt) (footprint, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return footprint{}, err
	}
	if f.Machine != elf.EM_ARM || f.Type != elf.ET_EXEC {
		return footprint{}, fmt.Errorf("%v %v is no image of an ARM board", f.Machine, f.Type)
	}
	size := footprint{flash: flashOf(f)}
	size.static, size.stack = ramOf(f)
	if size.heap, err = heapOf(f); err != nil {
		return footprint{}, err
	}
	if size.flash == 0 {
		return footprint{}, errors.New("nothing in it goes to flash: is it linked for another board?")
	}
	return size, nil
}

// flashOf is what is written to flash: all that is loaded from there.
func flashOf(f *elf.File) uint64 {
	var n uint64
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Paddr >= flashStart && p.Paddr < flashEnd {
			n += p.Filesz
		}
	}
	return n
}

// ramOf is what the sections in RAM take: stacks, and all others.
func ramOf(f *elf.File) (static, stack uint64) {
	for _, s := range f.Sections {
		switch {
		case s.Flags&elf.SHF_ALLOC == 0 || s.Addr < ramStart || s.Addr >= ramEnd:
		case strings.HasPrefix(s.Name, ".stack"):
			stack += s.Size
		default:
			static += s.Size
		}
	}
	return static, stack
}

// heapOf is the distance of the symbols that TinyGo's linker scripts put around
// the heap.
func heapOf(f *elf.File) (uint64, error) {
	symbols, err := f.Symbols()
	if err != nil {
		return 0, fmt.Errorf("%w; link with symbols", err)
	}
	ends := map[string]uint64{}
	for _, s := range symbols {
		if s.Name == "_heap_start" || s.Name == "_heap_end" {
			ends[s.Name] = s.Value
		}
	}
	start, end := ends["_heap_start"], ends["_heap_end"]
	if start < ramStart || end < start || end > ramEnd {
		return 0, fmt.Errorf("its heap goes from %#x to %#x: is it linked by TinyGo for an RP2040?", start, end)
	}
	return end - start, nil
}
