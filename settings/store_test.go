// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/board/flash/flashtest"
	"github.com/picolet/picolet/settings"
)

func chip(seed uint64) *flashtest.Flash {
	return flashtest.New(flash.SettingsOffset, flash.SettingsSectors, seed)
}

// provision writes blocks to both sectors as a boot loader does.
func provision(t *testing.T, f *flashtest.Flash, block []byte) {
	t.Helper()
	for s := range uint32(flash.SettingsSectors) {
		at := flash.SettingsOffset + s*flash.SectorSize
		if err := errors.Join(f.Erase(at), f.Program(at, block)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnprovisioned(t *testing.T) {
	t.Parallel()
	if s, err := settings.Load(chip(1)); err != settings.ErrNone {
		t.Errorf("%v, %v", s, err)
	}
}

func TestProvisioned(t *testing.T) {
	t.Parallel()
	for _, want := range []settings.Settings{least(), whole()} {
		f := chip(1)
		block, err := want.AppendBlock(nil)
		if err != nil {
			t.Fatal(err)
		}
		provision(t, f, block)
		for range 2 {
			if got, err := settings.Load(f); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%#v, %v", got, err)
			}
		}
	}
}

// TestNothingWrongIsLoaded: a version too new, and settings that somebody made
// by other means, are refused by the board as well.
func TestNothingWrongIsLoaded(t *testing.T) {
	t.Parallel()
	long := least()
	long.SSID = "a network with a name of more than 32 bytes"
	for name, tc := range map[string]struct {
		content []byte
		want    error
	}{
		"newer":   {[]byte{9, 0, 1, 2, 3}, settings.NewerError(9)},
		"damaged": {[]byte{1, 0, 1}, settings.ErrDamaged},
		"invalid": {mustAppend(t, long), settings.ErrSSID},
	} {
		block, err := flash.AppendBlock(nil, 1, tc.content)
		if err != nil {
			t.Fatal(err)
		}
		f := chip(1)
		provision(t, f, block)
		if got, err := settings.Load(f); err != tc.want || !reflect.DeepEqual(got, settings.Settings{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestPowerCut cuts the power at each operation of a Save to a board that was
// provisioned, and of a later Save.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	old, changed := least(), whole()
	block, err := old.AppendBlock(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := chip(1)
	provision(t, f, block)
	for range 4 {
		cuts := 0
		for op := 1; ; op++ {
			done := false
			for seed := range uint64(20) {
				cut := f.Clone(seed)
				cut.CutPower(op, flashtest.Phase(seed%3))
				if done = settings.Save(cut, changed) == nil; done {
					break
				}
				cuts++
				cut.PowerOn()
				got, err := settings.Load(cut)
				if err != nil || !reflect.DeepEqual(got, old) && !reflect.DeepEqual(got, changed) {
					t.Fatalf("cut at operation %d, seed %d: %v, %v", op, seed, got, err)
				}
			}
			if done {
				break
			}
		}
		if cuts < 60 {
			t.Errorf("only %d cuts", cuts)
		}
		if err := settings.Save(f, changed); err != nil {
			t.Fatal(err)
		}
		if got, err := settings.Load(f); err != nil || !reflect.DeepEqual(got, changed) {
			t.Fatalf("%v, %v", got, err)
		}
		old, changed = changed, old
	}
}

// TestProvisionAgain: the boot loader erases and writes copy A, then B. With the
// power cut between any two pages, the board has the old or the new settings.
func TestProvisionAgain(t *testing.T) {
	t.Parallel()
	old, changed := least(), whole()
	changed.Provisioned++
	before, _ := old.AppendBlock(nil)
	block, _ := changed.AppendBlock(nil)
	for pages := range 2*len(block)/flash.PageSize + 1 {
		f := chip(1)
		provision(t, f, before)
		for i := range pages {
			sector := flash.SettingsOffset + uint32(i*flash.PageSize/len(block))*flash.SectorSize
			at := uint32(i * flash.PageSize % len(block))
			if at == 0 {
				_ = f.Erase(sector)
			}
			if err := f.Program(sector+at, block[at:at+flash.PageSize]); err != nil {
				t.Fatal(err)
			}
		}
		want := old
		if pages >= len(block)/flash.PageSize {
			want = changed
		}
		if got, err := settings.Load(f); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("after %d pages: %v, %v", pages, got, err)
		}
	}
}

func TestWhatIsWrongIsNotSaved(t *testing.T) {
	t.Parallel()
	s := least()
	s.SSID = ""
	f := chip(1)
	if err := settings.Save(f, s); err != settings.ErrSSID || f.Operations() != 0 {
		t.Errorf("%v after %d operations", err, f.Operations())
	}
	if b, err := s.AppendBlock([]byte("before")); err != settings.ErrSSID || string(b) != "before" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestLoadAllocatesLittle(t *testing.T) {
	f := chip(1)
	if err := settings.Save(f, whole()); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := settings.Load(f); err != nil {
			t.Error(err)
		}
	})
	if allocs > 5 { // the Record, the bytes, the strings, the labels, the ConfigMaps
		t.Errorf("%v allocations", allocs)
	}
}
