// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import (
	"time"

	"github.com/picolet/picolet/board"
)

// firmwareBytes is the flash that is in use without a stored record.
const firmwareBytes = 512 << 10

// settings are values that hold in place of those that move.
type settings struct {
	heapUsed, flashUsed uint64
	temperature         int32
	rssi                int16

	hasHeapUsed, hasFlashUsed, hasTemperature, hasRSSI bool
}

// Read fills r with the sensors at now. The same seed, time, record and
// settings give the same values.
func (b *Board) Read(now time.Duration, r *board.Readings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*r = board.Readings{
		HeapUsed:         40<<10 + uint64(b.wander(heap, now, 24<<10, time.Minute)),
		HeapTotal:        memoryBytes,
		FlashUsed:        firmwareBytes + uint64(b.stored),
		FlashTotal:       flashBytes,
		CPUTime:          max(now, 0) / 25,
		TemperatureMilli: 20_000 + int32(b.wander(climate, now, 22_000, time.Hour)+b.wander(chip, now, 3_000, time.Minute)),
		RSSI:             -80 + int16(b.wander(place, now, 30, 20*time.Minute)+b.wander(people, now, 10, 15*time.Second)),
		HasCPUTime:       true,
		HasTemperature:   true,
		HasRSSI:          true,
	}
	b.set.apply(r)
}

func (s *settings) apply(r *board.Readings) {
	if s.hasHeapUsed {
		r.HeapUsed = s.heapUsed
	}
	if s.hasFlashUsed {
		r.FlashUsed = s.flashUsed
	}
	if s.hasTemperature {
		r.TemperatureMilli = s.temperature
	}
	if s.hasRSSI {
		r.RSSI = s.rssi
	}
}

// SetHeapUsed holds the used heap at bytes, for tests of memory pressure.
func (b *Board) SetHeapUsed(bytes uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.heapUsed, b.set.hasHeapUsed = bytes, true
}

// SetFlashUsed holds the used flash at bytes, for tests of disk pressure.
func (b *Board) SetFlashUsed(bytes uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.flashUsed, b.set.hasFlashUsed = bytes, true
}

// SetTemperature holds the temperature, in thousandths of a degree Celsius.
func (b *Board) SetTemperature(milli int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.temperature, b.set.hasTemperature = milli, true
}

// SetRSSI holds the signal strength, in dBm.
func (b *Board) SetRSSI(dBm int16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.rssi, b.set.hasRSSI = dBm, true
}

// ReleaseSensors lets all sensors move again.
func (b *Board) ReleaseSensors() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set = settings{}
}

// What moves the sensors, each on its own.
const (
	heap = iota + 1
	climate
	chip
	place
	people
)

// wander returns a value in 0..span that walks in a straight line from one
// random point to the next, one each period.
func (b *Board) wander(cause uint64, now time.Duration, span int64, period time.Duration) int64 {
	now = max(now, 0)
	step, into := uint64(now/period), int64(now%period)
	from, to := b.point(cause, step, span), b.point(cause, step+1, span)
	const parts = 1 << 16 // keeps the product far from overflow
	return from + (to-from)*(into*parts/int64(period))/parts
}

// point returns the random point of a step, in 0..span.
func (b *Board) point(cause, step uint64, span int64) int64 {
	return int64(mix(b.seed^mix(cause^mix(step))) % uint64(span+1))
}

// mix is the output function of SplitMix64 (Steele, Lea, Flood: Fast
// Splittable Pseudorandom Number Generators, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
