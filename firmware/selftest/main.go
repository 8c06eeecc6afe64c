// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

// Command selftest is a Pico's own parts on a command line: type help on its serial
// port, 115200 baud on GPIO 0 and 1. It has no network and no kubelet.
//
// The tests run it on an emulated board; a person can on a real one, to see that
// its pins, sensors, flash and watchdog do what the emulated ones do.
package main

import (
	"errors"
	"machine"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/firmware/rp2040"
	"github.com/picolet/picolet/kubelet/logring"
)

// The phases and causes that a reset is reported with.
const (
	phaseStart = iota
	phaseIdle
	phaseHang
)

var (
	phases = []string{phaseStart: "start", phaseIdle: "idle", phaseHang: "hang"}
	causes = []string{"", "tired"}
)

var (
	boot    = time.Now()
	facts   board.Facts
	meter   rp2040.Meter
	sensors = rp2040.Sensors{CPU: &meter}
	pins    rp2040.Pins
	device  rp2040.Flash
	record  = flash.Record{Device: &device, Offset: flash.RecordOffset, Sectors: flash.RecordSectors}
	ring    logring.Ring
	console = rp2040.Console{Ring: &ring}
)

var ringBuffer [1024]byte

func main() {
	reset := rp2040.LastReset()
	rp2040.PaintStacks()
	rp2040.Enter(phaseStart)
	rp2040.StartWatchdog()
	ring.Configure(ringBuffer[:])
	facts = rp2040.Facts()
	facts.ResetReason = reset.Text(phases, causes)
	println("reset", facts.ResetReason)
	println("ready")
	for {
		rp2040.FeedWatchdog()
		rp2040.Enter(phaseIdle)
		meter.Work(time.Since(boot))
		receive()
		console.Poll()
		meter.Rest(time.Since(boot))
		time.Sleep(time.Millisecond)
	}
}

var errUsage = errors.New("no such command, or not so: type help")

// line is what has been typed.
var line []byte = make([]byte, 0, 80)

// receive takes what was typed, and does what it says at the end of a line.
func receive() {
	for machine.Serial.Buffered() > 0 {
		b, _ := machine.Serial.ReadByte()
		if b != '\n' && b != '\r' {
			line = append(line[:min(len(line), cap(line)-1)], b)
			continue
		}
		if len(line) > 0 {
			if err := obey(line); err != nil {
				println("error", err.Error())
			}
			println("done")
		}
		line = line[:0]
	}
}
