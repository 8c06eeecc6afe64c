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

// write puts a file into the test's directory.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const wantTable = `| Target | Flash, bytes | Static RAM, bytes | Stacks, bytes | Left for the heap, bytes | Heap used at most, bytes | Stack used at most, bytes | Measured |
|---|---:|---:|---:|---:|---:|---:|---|
| pico-w | 21248 | 12800 | 4096 | 245248 | 43000 | 2100 | an hour, emulated |
| core | 21248 | 12800 | 4096 | 245248 |  |  | no |
`

func TestRunPrintsATableInTheOrderOfItsArguments(t *testing.T) {
	t.Parallel()
	path := write(t, "a.elf", core().bytes(t))
	measured := write(t, "soak.json", []byte(`{"heap": 43000, "stack": 2100, "run": "an hour, emulated"}`))
	var out strings.Builder
	if err := run(&out, []string{"pico-w=" + path + ":" + measured, "core=" + path}); err != nil {
		t.Fatal(err)
	}
	if out.String() != wantTable {
		t.Errorf("got\n%swant\n%s", out.String(), wantTable)
	}
}

func TestRunPutsTheTableIntoADocument(t *testing.T) {
	t.Parallel()
	path := write(t, "a.elf", core().bytes(t))
	measured := write(t, "soak.json", []byte(`{"heap": 43000, "stack": 2100, "run": "an hour, emulated"}`))
	doc := write(t, "doc.md", []byte("# Footprint\n\n"+beginMark+"| old |\n"+endMark+"\nThe end.\n"))
	args := []string{"-doc", doc, "pico-w=" + path + ":" + measured, "core=" + path}
	for range 2 { // the second time changes nothing
		var out strings.Builder
		if err := run(&out, args); err != nil || out.Len() > 0 {
			t.Fatalf("run = %v and prints %q", err, out.String())
		}
		got, err := os.ReadFile(doc)
		if want := "# Footprint\n\n" + beginMark + wantTable + endMark + "\nThe end.\n"; string(got) != want || err != nil {
			t.Errorf("the document is now\n%s(%v), want\n%s", got, err, want)
		}
	}
	for _, text := range []string{"", beginMark, endMark + beginMark, "x" + endMark} {
		doc := write(t, "bad.md", []byte(text))
		if err := run(&strings.Builder{}, []string{"-doc", doc, "core=" + path}); err == nil || !strings.Contains(err.Error(), "lines") {
			t.Errorf("a document with %q: %v", text, err)
		}
		if got, _ := os.ReadFile(doc); string(got) != text {
			t.Errorf("a refused document with %q has become %q", text, got)
		}
	}
}

func TestCheckNamesEveryExcess(t *testing.T) {
	t.Parallel()
	path := write(t, "a.elf", core().bytes(t))
	measured := ":" + write(t, "soak.json", []byte(`{"heap": 43000, "stack": 2100, "run": "an hour"}`))
	for _, c := range []struct {
		budget, measured string
		says             []string
	}{
		{`{"core": {"flash": 21248, "static": 12800}}`, "", nil},
		{`{"core": {"flash": 21248, "static": 12800}}`, measured, nil},
		{`{"core": {"flash": 21248, "static": 12800, "heap": 43000, "stack": 2100}, "other": {"flash": 1, "static": 1}}`, measured, nil},
		{`{"core": {"flash": 21247, "static": 12799, "heap": 42999, "stack": 2099}}`, measured,
			[]string{"21248 bytes of flash, 1 over", "12800 bytes of static RAM, 1 over", "43000 bytes of heap, 1 over", "2100 bytes of stack, 1 over"}},
		{`{"core": {"flash": 1, "static": 20000, "heap": 50000}}`, "", []string{"of flash, 21247 over", "was not measured"}},
		{`{"core": {"static": 20000}}`, "", []string{"of flash, 21248 over its budget of 0"}},
		{`{}`, "", []string{"core has no budget"}},
		{`{"core": {"flush": 1}}`, "", []string{"flush"}},
		{`{"core": {"flash": -1}}`, "", []string{"flash"}},
		{`{"core"`, "", []string{"budget.json"}},
	} {
		budget := write(t, "budget.json", []byte(c.budget))
		var out strings.Builder
		err := run(&out, []string{"-check", budget, "core=" + path + c.measured})
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: %v", c.budget, err)
		}
		for _, want := range c.says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", c.budget, err, want)
			}
		}
		if !strings.Contains(out.String(), "| core |") {
			t.Errorf("%s: the table is missing", c.budget)
		}
	}
}

func TestRunNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	text := write(t, "text.elf", []byte("no ELF"))
	whole := write(t, "whole.elf", core().bytes(t))
	empty := write(t, "empty.json", []byte("{}"))
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
		{[]string{"core=" + whole + ":"}, "MEASURED.json"},
		{[]string{"core=" + whole + ":" + text}, text},
		{[]string{"core=" + whole + ":" + text + ".gone"}, "no such file"},
		{[]string{"core=" + whole + ":" + empty}, "heap and stack"},
		{[]string{"-check", text + ".gone", "core=" + text}, text},
		{[]string{"-doc", text + ".gone", "core=" + whole}, "no such file"},
	} {
		var out strings.Builder
		if err := run(&out, c.args); err == nil || !strings.Contains(err.Error(), c.says) || out.Len() > 0 {
			t.Errorf("run(%q) = %v and prints %q, want an error with %q", c.args, err, out.String(), c.says)
		}
	}
}
