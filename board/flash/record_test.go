// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package flash_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/board/flash/flashtest"
)

const offset = flash.RecordOffset

// boot is a Record as a board has it after power-on.
func boot(f *flashtest.Flash, sectors int) *flash.Record {
	f.PowerOn()
	return &flash.Record{Device: f, Offset: offset, Sectors: sectors}
}

func load(r *flash.Record) (string, error) {
	p := make([]byte, flash.MaxRecord)
	n, err := r.Load(p)
	return string(p[:n]), err
}

func mustLoad(t *testing.T, r *flash.Record) string {
	t.Helper()
	got, err := load(r)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return got
}

func mustSave(t *testing.T, r *flash.Record, record string) {
	t.Helper()
	if err := r.Save([]byte(record)); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

// recordOf is the nth record of a series, of any length up to limit.
func recordOf(random *rand.Rand, n, limit int) string {
	text := fmt.Sprintf("record %d;", n)
	size := []int{len(text), 200, 224, 225, 500, board.MaxStored, flash.MaxRecord}[random.IntN(7)]
	return string(bytes.Repeat([]byte(text), size/len(text)+1)[:max(len(text), min(size, limit))])
}

func TestLengths(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, flash.RecordSectors, 1)
	for _, n := range []int{1, 223, 224, 225, 256, 479, 480, 481, board.MaxStored, flash.MaxRecord - 1, flash.MaxRecord} {
		want := string(bytes.Repeat([]byte{byte(n), 0, 0xff}, n/3+1)[:n])
		r := boot(f, flash.RecordSectors)
		mustSave(t, r, want)
		for _, r := range []*flash.Record{r, boot(f, flash.RecordSectors)} {
			if got := mustLoad(t, r); got != want {
				t.Errorf("%d bytes: loaded %d bytes, %.8q", n, len(got), got)
			}
			if size, err := r.Size(); size != n || err != nil {
				t.Errorf("%d bytes: Size is %d, %v", n, size, err)
			}
		}
	}
	r := boot(f, flash.RecordSectors)
	mustSave(t, r, "")
	if got := mustLoad(t, boot(f, flash.RecordSectors)); got != "" {
		t.Errorf("after saving nothing, loaded %q", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, 2, 1)
	r := boot(f, 2)
	if n, err := r.Load(nil); n != 0 || err != nil {
		t.Errorf("Load of an erased chip: %d, %v", n, err)
	}
	mustSave(t, r, "four")
	if err := r.Save(make([]byte, flash.MaxRecord+1)); err != flash.ErrTooLarge {
		t.Errorf("Save of too much: %v", err)
	}
	if n, err := r.Load(make([]byte, 3)); n != 0 || err != flash.ErrTooLarge {
		t.Errorf("Load into too little: %d, %v", n, err)
	}
	for name, r := range map[string]*flash.Record{
		"no device":  {Offset: offset, Sectors: 2},
		"one sector": {Device: f, Offset: offset, Sectors: 1},
		"odd offset": {Device: f, Offset: offset + flash.PageSize, Sectors: 2},
	} {
		if _, err := r.Load(nil); err != flash.ErrLayout {
			t.Errorf("%s: Load: %v", name, err)
		}
		if err := r.Save(nil); err != flash.ErrLayout {
			t.Errorf("%s: Save: %v", name, err)
		}
	}
	r = &flash.Record{Device: f, Offset: offset, Sectors: 3} // beyond the chip
	if _, err := r.Load(make([]byte, 9)); err == nil {
		t.Error("the error of the chip is lost")
	}
}

// TestLayout keeps the regions apart, inside the chip and at its end.
func TestLayout(t *testing.T) {
	t.Parallel()
	if end := flash.RecordOffset + flash.RecordSectors*flash.SectorSize; end != flash.SettingsOffset {
		t.Errorf("the records end at %#x, the settings begin at %#x", end, flash.SettingsOffset)
	}
	if end := flash.SettingsOffset + flash.SettingsSectors*flash.SectorSize; end != flash.Size {
		t.Errorf("the settings end at %#x, the chip at %#x", end, flash.Size)
	}
}

func TestWearIsEven(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, flash.RecordSectors, 1)
	r := boot(f, flash.RecordSectors)
	random := rand.New(rand.NewPCG(1, 3))
	for n := range 10_000 {
		if n%97 == 0 {
			r = boot(f, flash.RecordSectors)
		}
		mustSave(t, r, recordOf(random, n, 300))
	}
	wear := f.Wear()
	if least, most := slices.Min(wear), slices.Max(wear); most-least > 1 || least == 0 {
		t.Errorf("sectors were erased %d to %d times: %v", least, most, wear)
	}
}

// TestOperations pins what a Save and a boot cost.
func TestOperations(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, flash.RecordSectors, 1)
	r := boot(f, flash.RecordSectors)
	count := func(what string, want int, do func()) {
		t.Helper()
		before := f.Operations()
		do()
		if got := f.Operations() - before; got != want {
			t.Errorf("%s: %d operations, want %d", what, got, want)
		}
	}
	count("Load of nothing", 0, func() { mustLoad(t, r) })
	count("first Save: erase, page, seal", 3, func() { mustSave(t, r, "one") })
	count("next Save: page, seal", 2, func() { mustSave(t, r, "two") })
	count("Save of the same", 0, func() { mustSave(t, r, "two") })
	count("Save of two pages", 3, func() { mustSave(t, r, string(make([]byte, 300))) })
	r = boot(f, flash.RecordSectors)
	count("Load", 0, func() { mustLoad(t, r) })
	count("Save of the same after a boot", 0, func() { mustSave(t, r, string(make([]byte, 300))) })
	count("first Save after a boot: erase, page, seal", 3, func() { mustSave(t, r, "three") })
}

// TestBootReadsLittle: a boot reads one header for each page at most, and the
// newest block twice: once to check it, once to load it. Forged headers make it
// look at each block in turn, and no more often.
func TestBootReadsLittle(t *testing.T) {
	t.Parallel()
	const pages = flash.RecordSectors * flash.SectorSize / flash.PageSize
	chip := func() *flashtest.Flash { return flashtest.New(offset, flash.RecordSectors, 1) }
	saved := func(n, size int) *flashtest.Flash {
		f := chip()
		r := boot(f, flash.RecordSectors)
		for i := range n {
			mustSave(t, r, fmt.Sprintf("%0*d", size, i))
		}
		return f
	}
	forged := chip()
	for page := range uint32(pages) {
		block, _ := flash.AppendBlock(nil, 1+uint64(page), []byte("x"))
		block[20]++ // its sum
		if err := forged.Program(offset+page*flash.PageSize, block); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		chip  *flashtest.Flash
		limit int
	}{
		"erased":                {chip(), 32 * pages},
		"full of small records": {saved(16*flash.RecordSectors, 8), 32*pages + 2*flash.PageSize},
		"full of large records": {saved(2*flash.RecordSectors, board.MaxStored-32), 32*pages + 2*board.MaxStored},
		"full of forgeries":     {forged, (pages + 1) * (32*pages + flash.PageSize)},
	} {
		before := tc.chip.ReadBytes()
		mustLoad(t, boot(tc.chip, flash.RecordSectors))
		if got := tc.chip.ReadBytes() - before; got > tc.limit {
			t.Errorf("from a flash %s, boot reads %d bytes, want at most %d", name, got, tc.limit)
		}
	}
}

func TestBrokenSectors(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, flash.RecordSectors, 1)
	r := boot(f, flash.RecordSectors)
	mustSave(t, r, "zero")
	f.Break(1)
	f.Break(2)
	mustSave(t, boot(f, flash.RecordSectors), "three")
	if got := mustLoad(t, boot(f, flash.RecordSectors)); got != "three" {
		t.Errorf("loaded %q", got)
	}
	for s := range flash.RecordSectors {
		f.Break(s)
	}
	r = boot(f, flash.RecordSectors)
	if err := r.Save([]byte("lost")); err != flash.ErrNotWritten {
		t.Errorf("Save on a worn out chip: %v", err)
	}
	for _, r := range []*flash.Record{r, boot(f, flash.RecordSectors)} {
		if got := mustLoad(t, r); got != "three" {
			t.Errorf("after a Save that failed, loaded %q", got)
		}
	}
}

// TestOneGoodSector: with no other sector to write to, the old record stays.
func TestOneGoodSector(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, 2, 1)
	r := boot(f, 2)
	mustSave(t, r, "old")
	f.Break(1)
	for _, r := range []*flash.Record{boot(f, 2), boot(f, 2)} {
		if err := r.Save([]byte("new")); err != flash.ErrNotWritten {
			t.Errorf("Save: %v", err)
		}
		if got := mustLoad(t, r); got != "old" {
			t.Errorf("loaded %q", got)
		}
	}
}

// stubborn refuses to program.
type stubborn struct{ *flashtest.Flash }

var errStubborn = errors.New("stubborn")

func (stubborn) Program(uint32, []byte) error { return errStubborn }

// TestUnsealed: what a UF2 brought is not sealed. It is loaded even where it
// cannot be sealed, and nothing is erased then.
func TestUnsealed(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, 2, 1)
	want := string(bytes.Repeat([]byte("settings "), 80))
	block, err := flash.AppendBlock(nil, 7, []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	for s := range uint32(2) {
		if err := f.Program(offset+s*flash.SectorSize, block); err != nil {
			t.Fatal(err)
		}
	}
	r := &flash.Record{Device: stubborn{f}, Offset: offset, Sectors: 2}
	if got := mustLoad(t, r); got != want {
		t.Errorf("loaded %.20q", got)
	}
	if err := r.Save([]byte("new")); err != errStubborn || f.Wear()[0]+f.Wear()[1] != 0 {
		t.Errorf("Save: %v, wear %v", err, f.Wear())
	}
	before := f.Operations()
	if got := mustLoad(t, boot(f, 2)); got != want {
		t.Errorf("loaded %.20q", got)
	}
	if sealed := f.Operations() - before; sealed != len(block)/flash.PageSize+1 {
		t.Errorf("the first boot did %d operations, want one for each page and the seal", sealed)
	}
	mustSave(t, boot(f, 2), "new")
	if got := mustLoad(t, boot(f, 2)); got != "new" {
		t.Errorf("loaded %.20q", got)
	}
}

// TestSavedAsAppended: Save writes what AppendBlock makes, but for the seal.
func TestSavedAsAppended(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 224, 225, flash.MaxRecord} {
		record := bytes.Repeat([]byte("r"), n)
		f := flashtest.New(offset, 2, 1)
		if err := boot(f, 2).Save(record); err != nil {
			t.Fatal(err)
		}
		want, err := flash.AppendBlock([]byte("before"), 2, record)
		if err != nil || string(want[:6]) != "before" {
			t.Fatal(want[:6], err)
		}
		want = want[6:]
		copy(want[28:], []byte{0, 0, 0, 0})
		got := make([]byte, len(want))
		if err := f.ReadAt(got, offset); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: Save wrote %.40x, AppendBlock %.40x, %v", n, got, want, err)
		}
	}
	if _, err := flash.AppendBlock(nil, 1, make([]byte, flash.MaxRecord+1)); err != flash.ErrTooLarge {
		t.Errorf("too large: %v", err)
	}
	for _, sequence := range []uint64{0, 1 << 62} {
		if _, err := flash.AppendBlock(nil, sequence, nil); err != flash.ErrSequence {
			t.Errorf("sequence %d: %v", sequence, err)
		}
	}
}

// TestDamagedBlock flips each bit of a block: the older record is loaded.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	old, _ := flash.AppendBlock(nil, 4, []byte("old"))
	block, _ := flash.AppendBlock(nil, 5, []byte("new"))
	for bit := range 8 * (32 + len("new")) {
		if bit/8 >= 24 && bit/8 < 32 {
			continue // unused, and the seal
		}
		f := flashtest.New(offset, 2, 1)
		damaged := bytes.Clone(block)
		damaged[bit/8] ^= 1 << (bit % 8)
		_ = f.Program(offset, damaged)
		_ = f.Program(offset+flash.SectorSize, old)
		if got := mustLoad(t, boot(f, 2)); got != "old" {
			t.Errorf("bit %d flipped: loaded %q", bit, got)
		}
	}
}

// FuzzContent boots with anything in flash: it loads what has a valid sum, or
// nothing, and can save.
func FuzzContent(f *testing.F) {
	block, _ := flash.AppendBlock(nil, 5, []byte("record"))
	f.Add(block, uint16(0))
	f.Add(block, uint16(flash.SectorSize))
	f.Add(append(bytes.Clone(block), block...), uint16(flash.SectorSize-flash.PageSize))
	f.Add(bytes.Repeat([]byte{0}, 2*flash.SectorSize), uint16(0))
	f.Add([]byte("picolet\x02\xff\xff\xff\xff\xff\xff\xff\x3f\xff\xff\xff\xff"), uint16(0))
	f.Fuzz(func(t *testing.T, content []byte, at uint16) {
		chip := flashtest.New(offset, 2, 1)
		page := bytes.Repeat([]byte{0xff}, 2*flash.SectorSize)
		copy(page[int(at)%len(page):], content)
		if err := chip.Program(offset, page); err != nil {
			t.Fatal(err)
		}
		r := boot(chip, 2)
		if _, err := load(r); err != nil {
			t.Errorf("Load: %v", err)
		}
		if err := r.Save([]byte("new")); err == nil {
			if got := mustLoad(t, boot(chip, 2)); got != "new" {
				t.Errorf("loaded %q", got)
			}
		} else if err != flash.ErrNotWritten {
			t.Errorf("Save: %v", err)
		}
	})
}

func TestAllocatesNothing(t *testing.T) {
	f := flashtest.New(offset, flash.RecordSectors, 1)
	r := boot(f, flash.RecordSectors)
	records := [][]byte{bytes.Repeat([]byte("a"), 700), []byte("b")}
	p := make([]byte, board.MaxStored)
	fresh := *r
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		n++
		*r = fresh
		if err := r.Save(records[n%2]); err != nil {
			t.Error(err)
		}
		if _, err := r.Load(p); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
