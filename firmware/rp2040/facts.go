// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"machine"
	"runtime"
	"runtime/interrupt"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
)

// ramSize is all RAM of the chip, 2.6.2.
const ramSize = 264 << 10

// Facts reads what holds until the next boot, for about 10 ms; of the OS image and
// the reason of the reset it knows nothing. It allocates the strings, and differs from
// one call to the next in BootID: call it once.
func Facts() board.Facts {
	id := UniqueID()
	var random [32]byte
	_ = Entropy(&random, 0) // a boot is told from the next all the same
	return board.Facts{
		Model:         "rp2040",
		ID:            string(appendHex(nil, id[:])),
		SystemUUID:    systemUUID(id),
		BootID:        randomUUID([16]byte(random[:])),
		KernelVersion: "tinygo-" + runtime.Version(),
		Cores:         2, // of which this firmware uses one
		ClockKHz:      machine.CPUFrequency() / 1000,
		MemoryBytes:   ramSize,
		FlashBytes:    flash.Size,
	}
}

// UniqueID reads the number that the maker of the flash chip gave it. The flash
// cannot be executed from meanwhile, so interrupts, whose handlers and vectors lie
// there, wait for about 20 µs.
func UniqueID() (id [8]byte) {
	state := interrupt.Disable()
	copy(id[:], machine.DeviceID())
	interrupt.Restore(state)
	return id
}
