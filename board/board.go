// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package board says what the portable kubelet asks of hardware. A board is a
// value of type Board: facts that hold until the next boot, and small
// interfaces for what changes or can be changed. Parts that a board lacks are
// nil, values that it cannot read are left out: nothing is invented.
//
// The package holds no driver and does no I/O; drivers are the packages below
// it and the firmware.
package board

import (
	"errors"
	"time"
)

// Board is one piece of hardware as the kubelet sees it.
type Board struct {
	Facts   Facts   // Required: Facts.Model and Facts.ID
	Sensors Sensors // Required
	Pins    Pins    // Optional [the board has no pins]
	LED     LED     // Optional [the board has no LED]
	Storage Storage // Optional [configuration is lost at a restart]
}

// Facts are the properties of a board that hold until the next boot. Empty
// strings and zeros mean "not known" and are left out of every report.
type Facts struct {
	Model         string // "rp2040", "linux", "virtual"
	ID            string // unique and stable, 1-64 of [A-Za-z0-9._-]; nodeInfo.machineID
	SystemUUID    string // nodeInfo.systemUUID
	BootID        string // differs at each boot; nodeInfo.bootID
	KernelVersion string // nodeInfo.kernelVersion, "tinygo-0.41"
	OSImage       string // nodeInfo.osImage, "picolet (Raspberry Pi Pico W)"
	ResetReason   string // "power-on", "watchdog", "software", …
	Cores         int
	ClockKHz      uint32 // of one core
	MemoryBytes   uint64 // all RAM
	FlashBytes    uint64 // all flash, or the disk
}

// Sensors reads what changes while the board runs.
type Sensors interface {
	// Read fills r with the values at now, the time since boot. It must not
	// block. Fields that the board cannot read keep their zero value.
	Read(now time.Duration, r *Readings)
}

// Readings are one look at the sensors.
type Readings struct {
	HeapUsed         uint64 // bytes
	HeapTotal        uint64 // bytes; 0: not known
	FlashUsed        uint64 // bytes
	FlashTotal       uint64 // bytes; 0: not known
	CPUTime          time.Duration
	TemperatureMilli int32 // thousandths of a degree Celsius
	RSSI             int16 // dBm
	HasCPUTime       bool
	HasTemperature   bool
	HasRSSI          bool
}

// Pins are the board's general purpose outputs.
type Pins interface {
	// Count is one more than the highest pin number.
	Count() int
	// SetPin drives a pin. It returns ErrNoPin for a number that the board
	// does not lead out and ErrNoPWM where the pin cannot do PWM.
	SetPin(pin int, s PinState) error
	// Pin reads a pin back. It returns ErrNoPin as SetPin does.
	Pin(pin int) (PinState, error)
}

// Errors of Pins.
var (
	ErrNoPin = errors.New("the board has no such pin")
	ErrNoPWM = errors.New("the pin cannot do PWM")
)

// PinMode says how a pin is driven.
type PinMode uint8

// The modes of a pin. The zero value is a pin that nothing drives.
const (
	PinFloating PinMode = iota
	PinLow
	PinHigh
	PinPWM
)

// PinState is the mode of a pin and, for PinPWM, its duty cycle in 1/255.
type PinState struct {
	Mode PinMode
	Duty uint8
}

// AppendText appends the state as ConfigMaps write it: LOW, HIGH, PWM:0-255,
// or FLOATING for a pin that nothing drives.
func (s PinState) AppendText(b []byte) []byte {
	switch s.Mode {
	case PinLow:
		return append(b, "LOW"...)
	case PinHigh:
		return append(b, "HIGH"...)
	case PinPWM:
		b = append(b, "PWM:"...)
		if s.Duty >= 100 {
			b = append(b, '0'+s.Duty/100)
		}
		if s.Duty >= 10 {
			b = append(b, '0'+s.Duty/10%10)
		}
		return append(b, '0'+s.Duty%10)
	}
	return append(b, "FLOATING"...)
}

// LED is the light on the board.
type LED interface {
	SetLED(on bool)
	LED() bool
}

// MaxStored is the most bytes that the kubelet asks a Storage to keep.
const MaxStored = 2048

// Storage keeps one record over restarts and power cuts.
type Storage interface {
	// Load reads the last record saved whole into p and returns its length,
	// 0 if there is none. A record larger than p is an error.
	Load(p []byte) (int, error)
	// Save replaces the record. After a power cut during Save, Load returns
	// the old record or the new one, never a mixture.
	Save(p []byte) error
}
