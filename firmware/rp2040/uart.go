// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import "device/rp"

// uart is UART0 as TinyGo's -serial=uart starts it: GPIO 0 and 1, 115200 baud.
type uart struct{}

func (uart) ready() bool { return !rp.UART0.UARTFR.HasBits(rp.UART0_UARTFR_TXFF) }
func (uart) put(b byte)  { rp.UART0.UARTDR.Set(uint32(b)) }

// Poll writes what the UART takes of the log, at most 32 bytes at a time, which take
// it 2.8 ms, and tells whether more is waiting.
func (c *Console) Poll() bool {
	enableFIFOs()
	return c.poll(uart{})
}

// enableFIFOs turns on the UART's FIFOs, which TinyGo leaves off. What comes in then
// interrupts when 16 bytes have come, or when no more come (4.2.5).
func enableFIFOs() {
	if !rp.UART0.UARTLCR_H.HasBits(rp.UART0_UARTLCR_H_FEN) {
		rp.UART0.UARTLCR_H.SetBits(rp.UART0_UARTLCR_H_FEN)
		rp.UART0.UARTIMSC.SetBits(rp.UART0_UARTIMSC_RTIM)
	}
}
