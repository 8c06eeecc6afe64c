// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"errors"
	"reflect"
	"strings"
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
				if done = settings.Save(cut, &changed) == nil; done {
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
		if err := settings.Save(f, &changed); err != nil {
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

// TestPowerCutWhileAKeyIsLearned cuts the power at each operation of each change of the
// gateway's keys, one rotation after the other: the board has the keys of before or of
// after, and all else that it was told.
func TestPowerCutWhileAKeyIsLearned(t *testing.T) {
	t.Parallel()
	s := whole()
	s.NextKey = [settings.KeySize]byte{}
	f := chip(1)
	if err := settings.Save(f, &s); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for n := range byte(6) {
		old := s
		if n%2 == 0 {
			s.NextKey[0] = n + 1 // announced
		} else {
			s.GatewayKey, s.NextKey = s.NextKey, [settings.KeySize]byte{} // the older one dropped
		}
		cuts += eachCut(f, s, func(got settings.Settings, err error) {
			if err != nil || !reflect.DeepEqual(got, old) && !reflect.DeepEqual(got, s) {
				t.Fatalf("change %d: %v, %v", n, got, err)
			}
		})
		if err := settings.Save(f, &s); err != nil {
			t.Fatal(err)
		}
	}
	if cuts < 60 {
		t.Errorf("only %d cuts", cuts)
	}
}

// eachCut cuts the power at each operation of saving s in f, calls check with what is
// loaded then, and returns how many cuts there were.
func eachCut(f *flashtest.Flash, s settings.Settings, check func(settings.Settings, error)) (cuts int) {
	for op := 1; ; op++ {
		for seed := range uint64(20) {
			cut := f.Clone(seed)
			cut.CutPower(op, flashtest.Phase(seed%3))
			if settings.Save(cut, &s) == nil {
				return cuts
			}
			cuts++
			cut.PowerOn()
			check(settings.Load(cut))
		}
	}
}

// TestBoardCanAddItsKeys: what is provisioned leaves room for the keys that a board
// makes and learns.
func TestBoardCanAddItsKeys(t *testing.T) {
	t.Parallel()
	s := least()
	s.GatewayKey[0] = 1
	added := s
	added.BoardKey[0], added.NextKey[0] = 2, 3
	s.Token = strings.Repeat("t", settings.MaxSize-len(mustAppend(t, added))-3)
	block, err := s.AppendBlock(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := chip(1)
	provision(t, f, block)
	added.Token = s.Token
	if err := settings.Save(f, &added); err != nil {
		t.Errorf("saving the keys: %v", err)
	}
	s.Token += "t"
	if _, err := s.AppendBlock(nil); err != settings.ErrTooLarge {
		t.Errorf("a byte more: %v, want ErrTooLarge", err)
	}
}

func TestWhatIsWrongIsNotSaved(t *testing.T) {
	t.Parallel()
	s := least()
	s.SSID = ""
	f := chip(1)
	if err := settings.Save(f, &s); err != settings.ErrSSID || f.Operations() != 0 {
		t.Errorf("%v after %d operations", err, f.Operations())
	}
	if b, err := s.AppendBlock([]byte("before")); err != settings.ErrSSID || string(b) != "before" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestLoadAllocatesLittle(t *testing.T) {
	f, s := chip(1), whole()
	if err := settings.Save(f, &s); err != nil {
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
