// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package wifi

import (
	"device/rp"
	"machine"
	"runtime/interrupt"
	"runtime/volatile"
	"time"
	"unsafe"

	pio "github.com/tinygo-org/pio/rp2-pio"
	"github.com/tinygo-org/pio/rp2-pio/piolib"
)

// The wires of a Pico W; Raspberry Pi Pico W datasheet, 2.1. The chip calls by
// the line of data while it is not selected.
const (
	pinPower  = machine.GPIO23
	pinData   = machine.GPIO24
	pinSelect = machine.GPIO25
	pinClock  = machine.GPIO29

	busHertz = 25_000_000 - 1
)

// PicoW claims the pins, a PIO state machine and a DMA channel.
func PicoW() (Pins, error) {
	pinPower.Configure(machine.PinConfig{Mode: machine.PinOutput})
	pinSelect.Configure(machine.PinConfig{Mode: machine.PinOutput})
	pinSelect.High()
	sm, err := pio.PIO0.ClaimStateMachine()
	if err != nil {
		return Pins{}, err
	}
	wire, err := piolib.NewSPI3w(sm, pinData, pinClock, busHertz)
	if err != nil {
		return Pins{}, err
	}
	wire.EnableStatus(true)
	if err := wire.EnableDMA(true); err != nil {
		return Pins{}, err
	}
	return Pins{Wire: wire, Power: pinPower.Set, Select: pinSelect.Set, HostWake: pinData.Get}, nil
}

// Sleep lets the processor sleep for that long, or until the chip calls or any
// interrupt comes. It sleeps at most 4 s, and not at all for less than 100 µs.
func Sleep(d time.Duration) {
	microseconds := sleepTime(d)
	if microseconds == 0 {
		return
	}
	intr := interrupt.New(rp.IRQ_IO_IRQ_BANK0, stopCalling)
	intr.SetPriority(0xc0)
	callEnable.SetBits(callHigh)
	intr.Enable()
	lightSleep(microseconds)
	callEnable.ClearBits(callHigh)
}

// stopCalling ends a call, whose level would interrupt for ever. That it came is
// enough to wake the processor.
func stopCalling(interrupt.Interrupt) { callEnable.ClearBits(callHigh) }

// callEnable is PROC0_INTE3, the interrupts of GPIO 24 to 29 that reach the first
// processor, and callHigh that for a high level of GPIO 24; RP2040 datasheet,
// 2.19.6.1.
var callEnable = (*volatile.Register32)(unsafe.Pointer(uintptr(0x4001410c)))

const callHigh = 1 << 1

// lightSleep is TinyGo's own way to sleep, which returns at any interrupt.
//
//go:linkname lightSleep runtime.machineLightSleep
func lightSleep(microseconds uint64)
