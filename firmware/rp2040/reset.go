// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"device/rp"
	"machine"
	"runtime/interrupt"
)

// watchdogMillis is how long the main loop may be silent: the hardware's counter
// ends at 8.3 s, since it counts twice (erratum RP2040-E1).
const watchdogMillis = 8000

// StartWatchdog makes the chip reset itself when FeedWatchdog is not called for
// 8 s. It cannot be stopped.
func StartWatchdog() {
	// Neither can fail on this chip.
	_ = machine.Watchdog.Configure(machine.WatchdogConfig{TimeoutMillis: watchdogMillis})
	_ = machine.Watchdog.Start()
}

// FeedWatchdog tells the watchdog that the main loop goes round.
func FeedWatchdog() { machine.Watchdog.Update() }

// Enter notes what runs from now on, for the case that it hangs: the next boot
// finds it in Reset.Phase. It is one store.
func Enter(phase uint8) { rp.WATCHDOG.SCRATCH0.Set(sealed(uint16(phase))) }

// LastReset reads what reset the chip, and takes the notes away. Call it once,
// before Enter.
func LastReset() Reset {
	w := rp.WATCHDOG
	r := resetOf(w.REASON.Get(), rp.VREG_AND_CHIP_RESET.CHIP_RESET.Get(), w.SCRATCH0.Get(), w.SCRATCH1.Get())
	w.SCRATCH0.Set(0)
	w.SCRATCH1.Set(0)
	return r
}

// Restart notes a cause and resets the chip, as the watchdog would: all of it but the
// oscillators. The other way, a reset of the processor by AIRCR, leaves peripherals
// as they are. It waits until the UART is empty, but not longer than 100 ms.
func Restart(cause uint8) {
	drainUART(100_000)
	interrupt.Disable()
	rp.WATCHDOG.SCRATCH1.Set(sealed(uint16(cause)))
	rp.WATCHDOG.SCRATCH4.Set(0) // else the boot ROM may jump to where 5 to 7 say (2.8.1.1)
	rp.PSM.WDSEL.Set(psmAll &^ (rp.PSM_WDSEL_ROSC | rp.PSM_WDSEL_XOSC))
	rp.WATCHDOG.CTRL.SetBits(rp.WATCHDOG_CTRL_TRIGGER)
	for {
	}
}

// psmAll is every bit of the power-on state machine's WDSEL (2.13.5).
const psmAll = 0x1ffff

// micros is the low word of the time since the reset.
func micros() uint32 { return rp.TIMER.TIMERAWL.Get() }

// drainUART waits until the UART has sent all, at most for the given microseconds.
func drainUART(limit uint32) {
	for start := micros(); rp.UART0.UARTFR.HasBits(rp.UART0_UARTFR_BUSY) && micros()-start < limit; {
	}
}
