// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/picolet/picolet/uf2"
)

// segment is a part of an ELF file that is loaded.
type segment struct {
	address uint32 // where it is loaded from
	bytes   string
	size    uint32 // in memory, if more than bytes
}

// program makes an ELF file for a Cortex-M0+.
func program(t *testing.T, segments ...segment) string {
	t.Helper()
	const headerSize, progSize = 52, 32
	var head, data bytes.Buffer
	write := func(v any) {
		if err := binary.Write(&head, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	write(elf.Header32{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_ARM), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Ehsize: headerSize, Phentsize: progSize, Phnum: uint16(len(segments)),
	})
	for _, s := range segments {
		write(elf.Prog32{
			Type: uint32(elf.PT_LOAD), Off: uint32(headerSize + progSize*len(segments) + data.Len()), Paddr: s.address,
			Filesz: uint32(len(s.bytes)), Memsz: max(s.size, uint32(len(s.bytes))),
		})
		data.WriteString(s.bytes)
	}
	path := filepath.Join(t.TempDir(), "program.elf")
	if err := os.WriteFile(path, append(head.Bytes(), data.Bytes()...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConvert(t *testing.T) {
	t.Parallel()
	from := program(t,
		segment{address: 0x1000_0000, bytes: "boot"},
		segment{address: 0x1000_0200, bytes: "data"},
		segment{address: 0x2000_0000, size: 4096}, // RAM that starts as zero
	)
	to := filepath.Join(t.TempDir(), "program.uf2")
	if err := convert(from, to); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3*page)
	copy(want, "boot")
	copy(want[2*page:], "data")
	segments, err := uf2.Decode(file, uf2.RP2040)
	if err != nil || len(segments) != 1 || segments[0].Address != 0x1000_0000 || !bytes.Equal(segments[0].Bytes, want) {
		t.Errorf("%v, %v", segments, err)
	}
}

func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]string{
		"nothing to load":     program(t),
		"code in RAM":         program(t, segment{address: 0x2000_0000, bytes: "code"}),
		"beyond a Pico's end": program(t, segment{address: 0x1000_0000 + flashSize - 2, bytes: "code"}),
		"before the flash":    program(t, segment{address: 0x0fff_ffff, bytes: "code"}),
	} {
		to := filepath.Join(t.TempDir(), "program.uf2")
		if err := convert(from, to); !errors.Is(err, errNoImage) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s: wrote a file", name)
		}
	}
}
