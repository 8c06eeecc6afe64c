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

// TestPowerCutAtEachOperation cuts the power at every operation of every Save
// of a series, before, after and in many ways within it, and then again at
// every operation of the next boot and Save.
func TestPowerCutAtEachOperation(t *testing.T) {
	t.Parallel()
	for _, sectors := range []int{2, 3, flash.RecordSectors} {
		t.Run(fmt.Sprint(sectors, " sectors"), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(sectors), 1))
			f := flashtest.New(offset, sectors, 1)
			r := boot(f, sectors)
			old, weak, cuts := "", 0, 0
			for n := range 8 + 3*sectors/2 {
				if random.IntN(3) == 0 {
					r = boot(f, sectors)
				}
				record := recordOf(random, n, board.MaxStored)
				eachCut(f, r, record, func(broken *flashtest.Flash, second bool) {
					cuts++
					weak += broken.WeakBits()
					if got := mustLoad(t, boot(broken, sectors)); got != old && got != record {
						t.Fatalf("loaded %.20q, which is neither %.20q nor %.20q", got, old, record)
					}
					if second {
						checkSecondCut(t, broken, sectors, old, record)
					}
				})
				mustSave(t, r, record)
				old = record
			}
			if weak == 0 || cuts < 200 {
				t.Errorf("%d cuts left %d weak bits: the test tried nothing", cuts, weak)
			}
		})
	}
}

// eachCut calls f with each chip that a power cut in r's Save can leave: cut at
// every operation, before it, behind it, and in several ways within it. Of some
// it says that a second cut is worth trying.
func eachCut(chip *flashtest.Flash, r *flash.Record, record string, f func(_ *flashtest.Flash, second bool)) {
	phases := [...]flashtest.Phase{flashtest.Before, flashtest.After, flashtest.During}
	for op := 1; ; op++ {
		for seed := range uint64(5) {
			broken := chip.Clone(seed<<32 | uint64(chip.Operations()+op))
			saving := *r
			saving.Device = broken
			broken.CutPower(op, phases[min(seed, 2)])
			if saving.Save([]byte(record)) == nil {
				return
			}
			f(broken, seed >= 3)
		}
	}
}

// checkSecondCut boots after a Save was cut, and cuts the power again at each
// operation of that boot and of its Save.
func checkSecondCut(t *testing.T, f *flashtest.Flash, sectors int, old, record string) {
	t.Helper()
	for op := 1; ; op++ {
		again := f.Clone(uint64(op))
		r := boot(again, sectors)
		again.CutPower(op, flashtest.During)
		found, err := load(r)
		if err == nil && r.Save([]byte("last")) == nil {
			if got := mustLoad(t, boot(again, sectors)); got != "last" {
				t.Fatalf("after another Save, loaded %.20q", got)
			}
			return
		}
		got := mustLoad(t, boot(again, sectors))
		if got != old && got != record && got != "last" {
			t.Fatalf("after the second cut, loaded %.20q", got)
		}
		if err == nil && found == record && got == old && old != record {
			t.Fatalf("after %.20q was loaded, %.20q came back", record, old)
		}
	}
}

// TestStorm lives through thousands of boots with cuts at any moment. The
// record that a board may load is the last one saved, or one whose Save was cut
// since then; once loaded, those before it do not come back.
func TestStorm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2))
			sectors := []int{2, 3, 14}[seed%3]
			f := flashtest.New(offset, sectors, seed)
			candidates := []string{""}
			for n := range 250 {
				r := boot(f, sectors)
				if random.IntN(4) > 0 {
					f.CutPower(1+random.IntN(60), flashtest.Phase(random.IntN(3)))
				}
				if got, err := load(r); err == nil {
					at := slices.Index(candidates, got)
					if at < 0 {
						t.Fatalf("boot %d: loaded %.20q, want one of %.20q", n, got, candidates)
					}
					candidates = candidates[at:]
				} else if !errors.Is(err, flashtest.ErrPowerCut) {
					t.Fatalf("boot %d: %v", n, err)
				}
				for i := range random.IntN(6) {
					record := recordOf(random, 10*n+i, board.MaxStored)
					if r.Save([]byte(record)) == nil {
						candidates = []string{record}
					} else {
						candidates = append(candidates, record)
					}
				}
			}
		})
	}
}

// hiding reads one page as erased, as weak bits may.
type hiding struct {
	*flashtest.Flash
	page uint32
}

func (h hiding) ReadAt(p []byte, off uint32) error {
	if off >= h.page && off < h.page+flash.PageSize {
		copy(p, bytes.Repeat([]byte{0xff}, len(p)))
		return nil
	}
	return h.Flash.ReadAt(p, off)
}

// TestHiddenRecord: a Save was cut, and what it wrote cannot be read at the
// next boot. It comes to light after another Save, and must not win.
func TestHiddenRecord(t *testing.T) {
	t.Parallel()
	f := flashtest.New(offset, 2, 1)
	r := boot(f, 2)
	mustSave(t, r, "old")
	f.CutPower(1, flashtest.After) // its page is written, its seal is not
	if err := r.Save([]byte("hidden")); !errors.Is(err, flashtest.ErrPowerCut) {
		t.Fatal(err)
	}
	if got := mustLoad(t, boot(f.Clone(1), 2)); got != "hidden" {
		t.Fatalf("the cut left %q, so nothing can be hidden", got)
	}
	r = boot(f, 2)
	r.Device = hiding{f, offset + flash.PageSize}
	if got := mustLoad(t, r); got != "old" {
		t.Fatalf("loaded %q", got)
	}
	mustSave(t, r, "new")
	if got := mustLoad(t, boot(f, 2)); got != "new" {
		t.Errorf("loaded %q", got)
	}
}
