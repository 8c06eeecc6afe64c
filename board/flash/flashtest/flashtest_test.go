// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package flashtest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/picolet/picolet/board/flash"
)

const offset = 0x1000

func read(t *testing.T, f *Flash, off uint32, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if err := f.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

func page(b byte) []byte { return bytes.Repeat([]byte{b}, flash.PageSize) }

func TestProgramClearsAndEraseSets(t *testing.T) {
	t.Parallel()
	f := New(offset, 2, 1)
	for _, b := range []byte{0xf0, 0xcc} {
		if err := f.Program(offset+flash.PageSize, page(b)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, f, offset+flash.PageSize, flash.PageSize); !bytes.Equal(got, page(0xf0&0xcc)) {
		t.Errorf("after programs of f0 and cc, cells are %x", got[:4])
	}
	if err := f.Erase(offset); err != nil {
		t.Fatal(err)
	}
	if got := read(t, f, offset+flash.PageSize, 1); got[0] != 0xff {
		t.Errorf("an erased cell is %x", got)
	}
	if w := f.Wear(); w[0] != 1 || w[1] != 0 || f.Operations() != 3 {
		t.Errorf("wear is %v after %d operations", w, f.Operations())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := New(offset, 1, 1)
	for name, err := range map[string]error{
		"before":         f.ReadAt(make([]byte, 1), offset-1),
		"behind":         f.ReadAt(make([]byte, 2), offset+flash.SectorSize-1),
		"half a sector":  f.Erase(offset + 1),
		"half a page":    f.Program(offset, make([]byte, 10)),
		"between pages":  f.Program(offset+1, page(0)),
		"page too many":  f.Program(offset+flash.SectorSize, page(0)),
		"another sector": f.Erase(offset + flash.SectorSize),
	} {
		if err == nil {
			t.Errorf("%s was not refused", name)
		}
	}
}

// TestPowerCut looks at programs and erases that were cut, with many seeds.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	weak := 0
	for seed := range uint64(50) {
		for _, phase := range []Phase{Before, During, After} {
			f := New(offset, 1, seed)
			f.CutPower(1, phase)
			if err := f.Program(offset, page(0)); !errors.Is(err, ErrPowerCut) {
				t.Fatalf("the program that was cut returned %v", err)
			}
			if err := f.ReadAt(make([]byte, 1), offset); !errors.Is(err, ErrPowerCut) {
				t.Fatalf("a read without power returned %v", err)
			}
			f.PowerOn()
			got := read(t, f, offset, flash.PageSize)
			if phase == Before && !bytes.Equal(got, page(0xff)) || phase == After && !bytes.Equal(got, page(0)) {
				t.Errorf("phase %d left %x", phase, got)
			}
			weak += f.WeakBits()
			if err := f.Program(offset, page(0)); err != nil || f.WeakBits() != 0 {
				t.Errorf("programming again: %v, %d weak bits", err, f.WeakBits())
			}
			f.CutPower(1, phase)
			_ = f.Erase(offset)
			f.PowerOn()
			weak += f.WeakBits()
			if err := f.Erase(offset); err != nil || f.WeakBits() != 0 || read(t, f, offset, 1)[0] != 0xff {
				t.Errorf("erasing again: %v, %d weak bits", err, f.WeakBits())
			}
		}
	}
	if weak == 0 {
		t.Error("no cut left a weak bit")
	}
}

func TestWeakBitsReadAsEither(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		f := New(offset, 1, seed)
		f.CutPower(1, During)
		_ = f.Program(offset, page(0))
		f.PowerOn()
		if f.WeakBits() < 100 {
			continue
		}
		first := read(t, f, offset, flash.PageSize)
		if bytes.Equal(first, read(t, f, offset, flash.PageSize)) {
			t.Errorf("seed %d: %d weak bits read alike twice", seed, f.WeakBits())
		}
		if f.Clone(1).WeakBits() != f.WeakBits() {
			t.Error("the clone has other weak bits")
		}
		return
	}
	t.Error("no seed leaves many weak bits")
}

func TestBrokenSector(t *testing.T) {
	t.Parallel()
	f := New(offset, 2, 1)
	f.Break(1)
	if err := f.Program(offset+flash.SectorSize, page(0x5a)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, f, offset+flash.SectorSize, 1); got[0] == 0x5a {
		t.Error("a broken sector keeps what is programmed")
	}
}
