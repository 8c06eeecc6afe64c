// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import (
	"math"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

func read(b *Board, now time.Duration) (r board.Readings) {
	b.Read(now, &r)
	return r
}

// TestSensorsStayInBounds follows a board for two days.
func TestSensorsStayInBounds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		b := newBoard(t, Options{Seed: seed})
		before := read(b, 0)
		for now := time.Duration(0); now < 48*time.Hour; now += 7 * time.Second {
			r := read(b, now)
			if r.TemperatureMilli < 20_000 || r.TemperatureMilli > 45_000 || r.RSSI < -80 || r.RSSI > -40 ||
				r.HeapUsed == 0 || r.HeapUsed > r.HeapTotal || r.CPUTime < before.CPUTime || r.CPUTime > now {
				t.Fatalf("seed %d at %v: %+v", seed, now, r)
			}
			if jump := r.TemperatureMilli - before.TemperatureMilli; jump < -500 || jump > 500 {
				t.Fatalf("seed %d at %v: the temperature jumps by %d m°C in 7 s", seed, now, jump)
			}
			before = r
		}
	}
}

func TestSensorsMove(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{Seed: 1})
	temperatures, strengths, heaps := map[int32]bool{}, map[int16]bool{}, map[uint64]bool{}
	for now := time.Duration(0); now < 24*time.Hour; now += time.Minute + time.Second {
		r := read(b, now)
		temperatures[r.TemperatureMilli/1000] = true
		strengths[r.RSSI] = true
		heaps[r.HeapUsed>>10] = true
	}
	if len(temperatures) < 15 || len(strengths) < 25 || len(heaps) < 15 {
		t.Errorf("in a day %d °C, %d dBm and %d KiB were seen", len(temperatures), len(strengths), len(heaps))
	}
}

func TestSensorsRepeat(t *testing.T) {
	t.Parallel()
	one, again, other := newBoard(t, Options{Seed: 1}), newBoard(t, Options{Seed: 1}), newBoard(t, Options{Seed: 2})
	read(again, time.Hour) // reads leave no trace
	differ := 0
	for now := time.Duration(0); now < time.Hour; now += 10 * time.Second {
		if read(one, now) != read(again, now) {
			t.Fatalf("two boards of one seed differ at %v", now)
		}
		if read(one, now) != read(other, now) {
			differ++
		}
	}
	if differ < 300 {
		t.Errorf("boards of two seeds differ only %d times of 360", differ)
	}
}

func TestSensorsAtAnyTime(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{Seed: math.MaxUint64})
	for _, now := range []time.Duration{math.MinInt64, -1, 0, math.MaxInt64} {
		if r := read(b, now); r.TemperatureMilli < 20_000 || r.TemperatureMilli > 45_000 || r.CPUTime < 0 {
			t.Errorf("at %d: %+v", now, r)
		}
	}
}

func TestHeldSensors(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{Seed: 1})
	moving := read(b, time.Hour)
	b.SetHeapUsed(260 << 10)
	b.SetFlashUsed(flashBytes)
	b.SetTemperature(-1500)
	b.SetRSSI(-91)
	want := moving
	want.HeapUsed, want.FlashUsed, want.TemperatureMilli, want.RSSI = 260<<10, flashBytes, -1500, -91
	if got := read(b, time.Hour); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	b.ReleaseSensors()
	if got := read(b, time.Hour); got != moving {
		t.Errorf("after the release %+v, want %+v", got, moving)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	b := newBoard(t, Options{})
	var r board.Readings
	if allocs := testing.AllocsPerRun(100, func() { b.Read(time.Hour, &r) }); allocs != 0 || r.HeapTotal == 0 {
		t.Errorf("%v allocations, want 0; read %+v", allocs, r)
	}
}

func BenchmarkRead(b *testing.B) {
	virtual := newBoard(b, Options{})
	var r board.Readings
	b.ReportAllocs()
	for b.Loop() {
		virtual.Read(time.Hour, &r)
	}
}
