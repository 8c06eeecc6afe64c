// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package main

import (
	"runtime"
	"time"

	"github.com/picolet/picolet/firmware/rp2040"
	"github.com/picolet/picolet/firmware/wifi"
)

// consoleInterval is how long the UART's FIFO takes to empty.
const consoleInterval = 2 * time.Millisecond

// When garbage is collected: once the chip and the network have been started, then
// whenever a look finds that there may be too much of it, and now and then, so that the
// heap in use is what is reported as such. The ciphers of the link leave some 400 bytes
// behind with each frame. A collection takes some 10 ms, a look 0.5 ms.
const (
	firstLook          = 5 * time.Second
	lookInterval       = 5 * time.Second
	collectionInterval = 10 * time.Minute
	maxGarbage         = 4 << 10 // bytes
)

// loop is what a board does.
type loop struct {
	lookAt    time.Duration
	collectAt time.Duration
	collected uint64 // bytes that had been allocated at the last collection
	meter     rp2040.Meter
	sensors   rp2040.Sensors
	console   rp2040.Console
}

// forever does all that is due, sleeps until something is, and begins again.
func (l *loop) forever() {
	for {
		rp2040.FeedWatchdog()
		l.meter.Work(clock())
		wake := l.turn()
		l.meter.Rest(clock())
		enter(phaseSleep)
		wifi.Sleep(wake - clock())
	}
}

// turn does all that is due and returns when something will be.
func (l *loop) turn() (wake time.Duration) {
	enter(phaseWifi)
	wake = uplink.chip.Poll()
	l.sensors.SetRSSI(uplink.chip.RSSI())

	enter(phaseNetwork)
	at, err := uplink.poll()
	if err != nil {
		signalFor(err)
	}
	wake = min(wake, at)
	uplink.chip.ShowLED()
	if n := uplink.net; n != nil && n.ResetDue(clock()) {
		rp2040.Restart(0)
	}

	l.collect()
	enter(phaseConsole)
	if l.console.Poll() {
		wake = min(wake, clock()+consoleInterval)
	}
	return wake
}

// collect collects garbage where there is enough of it.
func (l *loop) collect() {
	now := clock()
	if now < l.lookAt {
		return
	}
	l.lookAt = now + lookInterval
	if allocated := l.sensors.Allocated(); allocated-l.collected > maxGarbage || now >= l.collectAt {
		runtime.GC()
		l.collected, l.collectAt = allocated, now+collectionInterval
	}
}
