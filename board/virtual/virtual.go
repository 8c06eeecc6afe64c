// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package virtual is a Raspberry Pi Pico W that exists in memory: 264 KiB of
// RAM, 2 MiB of flash, pins and an LED that can be read back, and sensors that
// move. Its sensors are a function of a seed and the time since boot, so that
// runs repeat.
//
// It models what a kubelet reads and sets, not a processor: it runs no
// firmware, and says of itself that it is virtual.
package virtual

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/filestore"
)

// Size of a Raspberry Pi Pico W.
const (
	memoryBytes = 264 << 10
	flashBytes  = 2 << 20
	cores       = 2
	clockKHz    = 133_000
)

// Options say which board New makes.
type Options struct {
	ID          string // Optional [made from Seed]: what tells boards apart, such as the node name; hashed into Facts.ID
	Seed        uint64 // Optional [0]: how the sensors move
	StoragePath string // Optional [in memory]: file for the stored record
	Boots       uint64 // Optional [random]: number of this boot, for a BootID that repeats

	// OnChange is called after a pin changed, by the goroutine that set it.
	OnChange func(pin int, s board.PinState) // Optional [none]
}

// Board is a virtual board. It is safe for concurrent use.
type Board struct {
	onChange func(pin int, s board.PinState)
	seed     uint64
	store    board.Storage

	mu       sync.Mutex // not held while the record is read or written
	facts    board.Facts
	boots    uint64
	pins     [numPins]board.PinState
	led      bool
	set      settings
	stored   int // bytes of the record
	storeErr error
}

var (
	_ board.Sensors = (*Board)(nil)
	_ board.Pins    = (*Board)(nil)
	_ board.LED     = (*Board)(nil)
	_ board.Storage = (*Board)(nil)
)

// New returns a board that was just powered on. It fails if the storage
// cannot be made, not if the record in it is damaged: Load tells that.
func New(o Options) (*Board, error) {
	id := boardID(o.ID, o.Seed)
	b := &Board{
		onChange: o.OnChange,
		seed:     o.Seed,
		boots:    o.Boots,
		store:    &memory{},
		facts: board.Facts{
			Model:         "virtual",
			ID:            id,
			SystemUUID:    nameUUID("boards/" + id),
			BootID:        bootID(id, o.Boots),
			KernelVersion: runtime.Version(),
			OSImage:       "picolet virtual board",
			ResetReason:   "power-on",
			Cores:         cores,
			ClockKHz:      clockKHz,
			MemoryBytes:   memoryBytes,
			FlashBytes:    flashBytes,
		},
	}
	if err := b.openStorage(o.StoragePath); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Board) openStorage(path string) error {
	if path == "" {
		return nil
	}
	file, err := filestore.New(path)
	if err != nil {
		return fmt.Errorf("virtual board: %w", err)
	}
	b.store = file
	var p [board.MaxStored]byte
	b.stored, _ = file.Load(p[:]) // the kubelet's Load reports the error
	return nil
}

// Board returns the board as a kubelet takes it. The facts are those of the
// present boot: ask again after Reset.
func (b *Board) Board() board.Board {
	b.mu.Lock()
	defer b.mu.Unlock()
	return board.Board{Facts: b.facts, Sensors: b, Pins: b, LED: b, Storage: b}
}

// Reset reboots the board as its kubelet asked for: pins float, the LED is off,
// the boot has an ID of its own, and only the stored record stays. OnChange is
// not called.
func (b *Board) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.boots != 0 {
		b.boots++
	}
	b.facts.BootID = bootID(b.facts.ID, b.boots)
	b.facts.ResetReason = "software"
	b.pins = [numPins]board.PinState{}
	b.led = false
}
