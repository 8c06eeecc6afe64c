// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rp2040 is the microcontroller of a Pico W as the kubelet's board: its
// pins, sensors, facts, flash, watchdog, and what it remembers over a reset.
// Where TinyGo's package machine does what is needed, it is used; else the
// registers are.
//
// It knows nothing of the Wi-Fi chip, of settings or of Kubernetes, and runs no
// goroutine: all that takes time is either short and bounded, as its comment
// says, or done piece by piece by the main loop. Nothing allocates after the
// facts have been read. Files without build constraint are arithmetic that any Go
// runs and tests; the others need the chip, and firmware/selftest is their test.
//
// Numbers of sections are those of the RP2040 datasheet. The package has only run
// on an emulated RP2040.
package rp2040
