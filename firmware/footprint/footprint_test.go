// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// image describes an ELF file, as TinyGo's linker lays out one for the RP2040.
type image struct {
	class    elf.Class
	machine  elf.Machine
	segments []elf.Prog32
	sections []section
	symbols  map[string]uint32
}

type section struct {
	name       string
	kind       elf.SectionType
	flags      elf.SectionFlag
	addr, size uint32
}

// core is an image with the layout of a real one, and other sizes.
func core() image {
	load := uint32(elf.PT_LOAD)
	return image{
		class: elf.ELFCLASS32, machine: elf.EM_ARM,
		segments: []elf.Prog32{
			{Type: load, Vaddr: 0x10000000, Paddr: 0x10000000, Filesz: 0x100, Memsz: 0x100},
			{Type: load, Vaddr: 0x10000100, Paddr: 0x10000100, Filesz: 0x5000, Memsz: 0x5000},
			{Type: load, Vaddr: 0x20000000, Paddr: 0x20000000, Memsz: 0x1000},                     // stacks
			{Type: load, Vaddr: 0x20001000, Paddr: 0x10005100, Filesz: 0x200, Memsz: 0x200},       // .data
			{Type: load, Vaddr: 0x20001200, Paddr: 0x20001200, Memsz: 0x3000},                     // .bss
			{Type: uint32(elf.PT_ARM_EXIDX), Vaddr: 0x10000100, Paddr: 0x10000100, Filesz: 0x400}, // inside another
		},
		sections: []section{
			{".boot2", elf.SHT_PROGBITS, elf.SHF_ALLOC, 0x10000000, 0x100},
			{".text", elf.SHT_PROGBITS, elf.SHF_ALLOC, 0x10000100, 0x5000},
			{".stack", elf.SHT_NOBITS, elf.SHF_ALLOC, 0x20000000, 0x800},
			{".stack1", elf.SHT_NOBITS, elf.SHF_ALLOC, 0x20000800, 0x800},
			{".data", elf.SHT_PROGBITS, elf.SHF_ALLOC, 0x20001000, 0x200},
			{".bss", elf.SHT_NOBITS, elf.SHF_ALLOC, 0x20001200, 0x3000},
			{".debug_info", elf.SHT_PROGBITS, 0, 0x20000000, 0x9999},
		},
		symbols: map[string]uint32{"_heap_start": 0x20004200, "_heap_end": 0x20040000, "main": 0x10000100},
	}
}

// bytes writes the image: header, segments, names, symbols, sections. What the
// sections hold is left out, since nobody reads it.
func (m image) bytes(t *testing.T) []byte {
	t.Helper()
	names, order := []byte{0}, binary.LittleEndian
	name := func(s string) uint32 {
		names = append(append(names, s...), 0)
		return uint32(len(names) - len(s) - 1)
	}
	var symbols, sections bytes.Buffer
	write := func(b *bytes.Buffer, v any) {
		if err := binary.Write(b, order, v); err != nil {
			t.Fatal(err)
		}
	}
	write(&symbols, elf.Sym32{})
	for s, value := range m.symbols {
		write(&symbols, elf.Sym32{Name: name(s), Value: value, Shndx: uint16(elf.SHN_ABS), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_NOTYPE)})
	}
	write(&sections, elf.Section32{})
	for _, s := range m.sections {
		write(&sections, elf.Section32{Name: name(s.name), Type: uint32(s.kind), Flags: uint32(s.flags), Addr: s.addr, Size: s.size})
	}
	strtab, symtab := name(".strtab"), name(".symtab")
	const headerSize, segmentSize, sectionSize = 52, 32, 40
	at := uint32(headerSize + segmentSize*len(m.segments))
	n := uint32(1 + len(m.sections))
	write(&sections, elf.Section32{Name: strtab, Type: uint32(elf.SHT_STRTAB), Off: at, Size: uint32(len(names))})
	at += uint32(len(names))
	if len(m.symbols) > 0 {
		write(&sections, elf.Section32{Name: symtab, Type: uint32(elf.SHT_SYMTAB), Off: at, Size: uint32(symbols.Len()), Link: n, Entsize: elf.Sym32Size})
	}
	header := elf.Header32{
		Type: uint16(elf.ET_EXEC), Machine: uint16(m.machine), Version: 1, Ehsize: headerSize,
		Phoff: headerSize, Phentsize: segmentSize, Phnum: uint16(len(m.segments)),
		Shoff: at + uint32(symbols.Len()), Shentsize: sectionSize, Shnum: uint16(sections.Len() / sectionSize), Shstrndx: uint16(n),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(m.class), byte(elf.ELFDATA2LSB), 1
	var file bytes.Buffer
	write(&file, header)
	write(&file, m.segments)
	file.Write(names)
	file.Write(symbols.Bytes())
	file.Write(sections.Bytes())
	return file.Bytes()
}

func TestReadAddsUpFlashStaticRAMStacksAndHeap(t *testing.T) {
	t.Parallel()
	got, err := read(bytes.NewReader(core().bytes(t)))
	want := footprint{flash: 0x100 + 0x5000 + 0x200, static: 0x3200, stack: 0x1000, heap: 0x3be00}
	if got != want || err != nil {
		t.Errorf("read = %+v, %v, want %+v", got, err, want)
	}
}

func TestReadRefusesWhatIsNoImageOfTheBoard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*image)
		says   string
	}{
		"another processor": {func(m *image) { m.machine = elf.EM_RISCV }, "no image of an ARM board"},
		"another board":     {func(m *image) { m.segments = m.segments[2:3] }, "nothing in it goes to flash"},
		"no symbols":        {func(m *image) { m.symbols = nil }, "link with symbols"},
		"no heap":           {func(m *image) { delete(m.symbols, "_heap_end") }, "its heap goes from"},
		"heap upside down":  {func(m *image) { m.symbols["_heap_end"] = 0x20004100 }, "its heap goes from"},
		"heap outside RAM":  {func(m *image) { m.symbols["_heap_end"] = 0x30000000 }, "its heap goes from"},
	} {
		m := core()
		c.change(&m)
		if got, err := read(bytes.NewReader(m.bytes(t))); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: read = %+v, %v, want an error with %q", name, got, err, c.says)
		}
	}
}

func TestReadOfACutFileIsAnError(t *testing.T) {
	t.Parallel()
	whole := core().bytes(t)
	for n := range whole {
		if got, err := read(bytes.NewReader(whole[:n])); err == nil {
			t.Fatalf("read of %d of %d bytes = %+v", n, len(whole), got)
		}
	}
}

func TestRunPrintsATableInTheOrderOfItsArguments(t *testing.T) {
	t.Parallel()
	small, path := core(), filepath.Join(t.TempDir(), "a.elf")
	if err := os.WriteFile(path, small.bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(&out, []string{"pico-w=" + path, "core=" + path}); err != nil {
		t.Fatal(err)
	}
	want := `| Target | Flash, bytes | Static RAM, bytes | Stacks, bytes | Left for the heap, bytes |
|---|---:|---:|---:|---:|
| pico-w | 21248 | 12800 | 4096 | 245248 |
| core | 21248 | 12800 | 4096 | 245248 |
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestRunNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text.elf")
	if err := os.WriteFile(text, []byte("no ELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "TARGET=FILE.elf"},
		{[]string{"core.elf"}, "core.elf"},
		{[]string{"=core.elf"}, "=core.elf"},
		{[]string{"a|b=" + text}, "a|b"},
		{[]string{"core=" + text}, text},
		{[]string{"core=" + text + ".gone"}, "no such file"},
	} {
		var out strings.Builder
		if err := run(&out, c.args); err == nil || !strings.Contains(err.Error(), c.says) || out.Len() > 0 {
			t.Errorf("run(%q) = %v and prints %q, want an error with %q", c.args, err, out.String(), c.says)
		}
	}
}
