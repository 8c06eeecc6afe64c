// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/filestore"
)

func newBoard(t testing.TB, o Options) *Board {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFacts(t *testing.T) {
	t.Parallel()
	got := newBoard(t, Options{Seed: 42, Boots: 1}).Board()
	want := board.Facts{
		Model:         "virtual",
		ID:            "virtual-000000000000002a",
		SystemUUID:    "bfa69f62-86c1-52f0-aaeb-2be8fc1c55e8", // Python: uuid5(NAMESPACE_URL, "https://picolet.dev/boards/" + ID)
		BootID:        "130179d7-8c4a-5c33-916c-e0322139e6a3", // the same with "/boots/1"
		KernelVersion: runtime.Version(),
		OSImage:       "picolet virtual board",
		ResetReason:   "power-on",
		Cores:         2,
		ClockKHz:      133_000,
		MemoryBytes:   264 * 1024,
		FlashBytes:    2 * 1024 * 1024,
	}
	if got.Facts != want {
		t.Errorf("got %+v\nwant %+v", got.Facts, want)
	}
	if got.Sensors == nil || got.Pins == nil || got.LED == nil || got.Storage == nil {
		t.Errorf("a part is missing: %+v", got)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	one, again := newBoard(t, Options{ID: "pico-1", Seed: 1}), newBoard(t, Options{ID: "pico-1", Seed: 2})
	other, hostile := newBoard(t, Options{ID: "pico-2", Seed: 1}), newBoard(t, Options{ID: "../\n\x00" + strings.Repeat("x", 999)})
	if id := one.facts.ID; id != "virtual-7fab6c69d8ff5aa5" || id != again.facts.ID || one.facts.SystemUUID != again.facts.SystemUUID {
		t.Errorf("ID %s, %s on the second start", id, again.facts.ID)
	}
	if one.facts.ID == other.facts.ID || one.facts.SystemUUID == other.facts.SystemUUID {
		t.Error("two boards are one")
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	id := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	boots := map[string]bool{}
	for _, b := range []*Board{one, again, other, hostile} {
		for range 3 {
			f := b.Board().Facts
			if boots[f.BootID] || !uuid.MatchString(f.BootID) || !uuid.MatchString(f.SystemUUID) || !id.MatchString(f.ID) {
				t.Errorf("identity %q, %q, %q", f.ID, f.SystemUUID, f.BootID)
			}
			boots[f.BootID] = true
			b.Reset()
		}
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{Seed: 42, Boots: 1})
	if err := errors.Join(b.SetPin(3, board.PinState{Mode: board.PinHigh}), b.Save([]byte("kept"))); err != nil {
		t.Fatal(err)
	}
	b.SetLED(true)
	before := b.Board().Facts
	b.Reset()
	want := before
	want.ResetReason = "software"
	want.BootID = newBoard(t, Options{Seed: 42, Boots: 2}).facts.BootID
	if got := b.Board().Facts; got != want || got.BootID == before.BootID {
		t.Errorf("after the reset %+v, want %+v", got, want)
	}
	if pin, err := b.Pin(3); pin != (board.PinState{}) || err != nil || b.LED() {
		t.Errorf("pin 3 is %v, %v, LED %v after the reset", pin, err, b.LED())
	}
	if got := loaded(t, b); got != "kept" {
		t.Errorf("the record is %q after the reset", got)
	}
}

func loaded(t *testing.T, b *Board) string {
	t.Helper()
	p := make([]byte, board.MaxStored)
	n, err := b.Load(p)
	if err != nil {
		t.Errorf("Load: %v", err)
	}
	return string(p[:n])
}

func TestPins(t *testing.T) {
	t.Parallel()
	var changes []string
	b := newBoard(t, Options{OnChange: func(pin int, s board.PinState) {
		changes = append(changes, fmt.Sprintf("%d=%s", pin, s.AppendText(nil)))
	}})
	for pin := -2; pin < b.Count()+3; pin++ {
		want := error(nil)
		if pin < 0 || pin >= 23 && pin <= 25 || pin > 28 {
			want = board.ErrNoPin
		}
		state := board.PinState{Mode: board.PinPWM, Duty: uint8(pin)}
		err := b.SetPin(pin, state)
		got, readErr := b.Pin(pin)
		if err != want || readErr != want || want == nil && got != state {
			t.Errorf("pin %d: SetPin returned %v, Pin %v, %v", pin, err, got, readErr)
		}
	}
	if b.Count() != 29 || len(changes) != 26 {
		t.Errorf("Count() = %d, %d pins can be set; want 29 and 26", b.Count(), len(changes))
	}
	changes = nil
	for _, s := range []board.PinState{
		{Mode: board.PinHigh}, {Mode: board.PinHigh, Duty: 9}, {Mode: board.PinLow}, {Mode: board.PinPWM, Duty: 7}, {Mode: board.PinPWM, Duty: 8}, {},
	} {
		if err := b.SetPin(28, s); err != nil {
			t.Error(err)
		}
	}
	if got, want := strings.Join(changes, " "), "28=HIGH 28=LOW 28=PWM:7 28=PWM:8 28=FLOATING"; got != want {
		t.Errorf("changes are %s, want %s", got, want)
	}
}

func TestLED(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{})
	for _, on := range []bool{false, true, true, false} {
		if b.SetLED(on); b.LED() != on {
			t.Errorf("LED() = %v, set to %v", b.LED(), on)
		}
	}
}

func TestStorage(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "record")} {
		b := newBoard(t, Options{StoragePath: path})
		if got := loaded(t, b); got != "" {
			t.Errorf("%s: a new board has the record %q", name, got)
		}
		record := []byte("first")
		if err := b.Save(record); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		record[0] = 'X'
		full := errors.New("flash is full")
		b.FailStorage(full)
		_, err := b.Load(make([]byte, 9))
		if saveErr := b.Save([]byte("second")); err != full || saveErr != full {
			t.Errorf("%s: broken storage returned %v, %v", name, err, saveErr)
		}
		b.FailStorage(nil)
		if got := loaded(t, b); got != "first" {
			t.Errorf("%s: loaded %q, want first", name, got)
		}
		if _, err := b.Load(make([]byte, 4)); !errors.Is(err, filestore.ErrTooLarge) {
			t.Errorf("%s: Load into too little returned %v", name, err)
		}
		if err := b.Save(make([]byte, board.MaxStored+1)); !errors.Is(err, filestore.ErrTooLarge) {
			t.Errorf("%s: Save of too much returned %v", name, err)
		}
	}
}

func TestStorageOverRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	b := newBoard(t, Options{StoragePath: path})
	if err := b.Save([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	again := newBoard(t, Options{StoragePath: path})
	var r board.Readings
	again.Read(0, &r)
	if got := loaded(t, again); got != "kept" || r.FlashUsed != firmwareBytes+4 {
		t.Errorf("after the restart the record is %q, flash used %d", got, r.FlashUsed)
	}
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := newBoard(t, Options{StoragePath: path})
	if n, err := broken.Load(make([]byte, board.MaxStored)); n != 0 || !errors.Is(err, filestore.ErrDamaged) {
		t.Errorf("a damaged record was loaded: %d, %v", n, err)
	}
	if _, err := New(Options{StoragePath: filepath.Join(path, "record")}); err == nil {
		t.Error("a board was made with a file for a folder")
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{})
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			var r board.Readings
			for range 50 {
				b.Read(time.Second, &r)
				b.SetHeapUsed(uint64(i))
				b.SetLED(!b.LED())
				_, pinErr := b.Pin(i)
				if err := errors.Join(pinErr, b.SetPin(i, board.PinState{Mode: board.PinHigh}), b.Save([]byte{byte(i)})); err != nil {
					t.Error(err)
				}
				if n, err := b.Load(make([]byte, 1)); n != 1 || err != nil {
					t.Errorf("loaded %d bytes, %v", n, err)
				}
				b.Reset()
				_ = b.Board()
			}
		})
	}
	group.Wait()
}
