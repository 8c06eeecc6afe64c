// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

// Command pico-w is the firmware of a Raspberry Pi Pico W: one image for all
// boards. Each reads who it is from the settings in its flash, which
// `picolet provision` writes.
//
// It is wiring alone. One loop polls the Wi-Fi chip, the network and the kubelet;
// there is one goroutine, and no other code feeds the watchdog. What hangs is
// ended by the watchdog after 8 s, and the phase that hung is told after the
// restart.
//
// The log is on UART0 (GPIO 0, 115200 baud) as well. A board that cannot work
// says why there every 30 s, and flashes its LED: twice before each pause if it
// is not provisioned, three times if it cannot work with its settings; then it
// restarts after a minute.
//
// Build it by `make firmware`. What the image relies on is in the target's
// description, pico-w.json:
//
//   - build tag cy43nopio: the Wi-Fi driver leaves the bus to package wifi;
//   - serial uart: USB says nothing to an emulator, nor to a board without a host;
//   - scheduler tasks, for the one goroutine: without a scheduler TinyGo waits
//     in busy loops, and 2 KB of stack are too few;
//   - a stack of 12 KB: of 8 KB, 1.1 KB at the least were never seen in use, too few
//     for a way through the code that no test takes;
//   - gc conservative: once the node runs, nothing allocates but the ciphers of the
//     link; a chip that is started anew leaves garbage, too.
package main

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/firmware/boot"
	"github.com/picolet/picolet/firmware/rp2040"
	"github.com/picolet/picolet/firmware/signal"
	"github.com/picolet/picolet/firmware/wifi"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/settings"
)

// The phases of the firmware, for the reason of a reset by the watchdog.
const (
	phaseBoot uint8 = iota
	phaseWifi
	phaseNetwork
	phaseConsole
	phaseSleep
	phaseFlash
)

var phaseNames = []string{"boot", "wifi", "network", "console", "sleep", "flash"}

// causeNotWorking is the cause of a restart after signalFor; 0 is that of a user.
const causeNotWorking = 1

var causeNames = []string{causeNotWorking: "it could not work"}

// running is the phase that was entered last.
var running uint8

// enter notes what runs from now on, and returns what ran before.
func enter(phase uint8) (before uint8) {
	rp2040.Enter(phase)
	before, running = running, phase
	return before
}

// Variables of the package, so that their size is known when linking.
var (
	pico      kubelet.Kubelet
	chipFlash rp2040.Flash
	record    = flash.Record{Device: &chipFlash, Offset: flash.RecordOffset, Sectors: flash.RecordSectors}
	uplink    way
	poweredOn time.Time
)

// clock is the time since boot.
func clock() time.Duration { return time.Since(poweredOn) }

func main() {
	poweredOn = time.Now()
	reset := rp2040.LastReset()
	rp2040.PaintStacks()
	rp2040.StartWatchdog()
	enter(phaseBoot)
	s, err := load()
	if err != nil {
		signalFor(err)
	}
	if err := run(s, reset); err != nil {
		signalFor(err)
	}
}

// load reads the settings. What cannot be read may be by and by; what is not there
// will not come.
func load() (s settings.Settings, err error) {
	boot.Retry(clock, pause, func(int) bool {
		s, err = settings.Load(&chipFlash)
		return err == nil || err == settings.ErrNone
	})
	return s, err
}

// pause is between two tries of something.
func pause() {
	rp2040.FeedWatchdog()
	time.Sleep(100 * time.Millisecond)
}

// run is the life of a board with settings. It returns if they cannot be used.
func run(s settings.Settings, reset rp2040.Reset) error {
	var entropy [32]byte
	_ = rp2040.Entropy(&entropy, 0) // told in its own comment: good enough for jitter and ports even if it fails
	pins, err := wifi.PicoW()
	if err != nil {
		return err
	}
	uplink.settings, uplink.seed = s, word(entropy, 2)
	uplink.chip = wifi.New(wifi.Config{
		Pins: pins, Clock: clock, Log: pico.Record, Seed: word(entropy, 1),
		SSID: s.SSID, Passphrase: s.Passphrase, WPA3: s.WPA3, Country: s.Country,
		Receive: receive, Multicast: multicast,
	})
	l := loop{lookAt: firstLook, console: rp2040.Console{Ring: pico.Log()}}
	l.sensors.CPU = &l.meter
	config := s.Kubelet()
	config.Version, config.Seed = kubelet.OldestVersion, word(entropy, 0)
	config.Board = board.Board{
		Facts: facts(reset), Sensors: &l.sensors, Pins: rp2040.Pins{}, Analog: rp2040.Pins{}, LED: led{}, Storage: storage{}, Network: reach{},
	}
	if err := pico.Configure(config); err != nil {
		return err
	}
	if err := link(&uplink.settings, config.Board.Facts.ID); err != nil {
		return err
	}
	driven.Start(clock())
	for l.console.Poll() { // the reason of the last reset is told even if the Wi-Fi chip hangs again
	}
	l.forever()
	return nil
}

// storage is the record in flash. What it does is a phase of its own.
type storage struct{}

var _ board.Storage = storage{}

func (storage) Load(p []byte) (int, error) { return record.Load(p) }

func (storage) Save(p []byte) error {
	before := enter(phaseFlash)
	err := record.Save(p)
	enter(before)
	return err
}

// word is one of the four numbers in the board's entropy, never 0.
func word(entropy [32]byte, n int) uint64 {
	return binary.LittleEndian.Uint64(entropy[8*n:]) | 1
}

func facts(reset rp2040.Reset) board.Facts {
	f := rp2040.Facts()
	f.OSImage = "picolet (Raspberry Pi Pico W)"
	f.ResetReason = reset.Text(phaseNames, causeNames)
	return f
}

func unprovisioned() bool {
	_, err := settings.Load(&chipFlash)
	return err == settings.ErrNone
}

// signalInterval is how often a board that cannot work says why.
const signalInterval = 30 * time.Second

// forever is later than any time since boot.
const forever = time.Duration(math.MaxInt64)

// signalFor tells why the board cannot work, and restarts it after a minute: what was
// wrong may be over. A board that is not provisioned waits until it is, or until its
// settings can be read after all.
func signalFor(why error) {
	flashes, restartAt := signal.SettingsRefused, clock()+boot.SignalTime
	if why == settings.ErrNone {
		flashes, restartAt = signal.NotProvisioned, forever
	}
	pins, err := wifi.PicoW()
	if err != nil {
		panic(err) // the watchdog ends it, and the board begins anew
	}
	chip := wifi.New(wifi.Config{Pins: pins, Clock: clock, Receive: func([]byte) {}, Log: pico.Record, Seed: 1})
	for next := time.Duration(0); ; {
		rp2040.FeedWatchdog()
		if now := clock(); now >= next {
			println("picolet:", why.Error())
			next = now + signalInterval
			if why == settings.ErrNone && !unprovisioned() {
				restartAt = now
			}
		}
		if clock() >= restartAt {
			rp2040.Restart(causeNotWorking)
		}
		lit, until := flashes.At(clock())
		chip.SetLED(lit)
		chip.Poll()
		wifi.Sleep(until - clock())
	}
}
