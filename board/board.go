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
	Analog  Analog  // Optional [the board measures no voltage]
	LED     LED     // Optional [the board has no LED]
	Storage Storage // Optional [configuration is lost at a restart]
	Network Network // Optional [the board does not tell of its network]
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
	ResetReason   string // "power-on", "software", "watchdog: hang in wifi", …; printable ASCII without quotes
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
	HeapPeak         uint64 // bytes, the most that a reading has seen in use; 0: not known
	HeapTotal        uint64 // bytes; 0: not known
	StackUnused      uint32 // bytes that were never used; 0: not known
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

// Analog is the board's analog inputs, which have the numbers of their pins.
type Analog interface {
	// Millivolts measures the voltage at a pin; it must not block. It returns
	// ErrNoPin for a pin that is no analog input.
	Millivolts(pin int) (uint16, error)
}

// LED is the light on the board.
type LED interface {
	SetLED(on bool)
	LED() bool
}

// Network tells how far a board's way to the API server reaches.
type Network interface {
	// ReadNetwork fills r with what holds at now, the time since boot. It
	// must not block.
	ReadNetwork(now time.Duration, r *NetworkReadings)
}

// NetworkReadings are one look at the network.
type NetworkReadings struct {
	State    NetworkState
	Since    time.Duration            // time since boot at which State began
	Begun    [NumNetworkStates]uint32 // how often each state began since boot
	Sent     uint64                   // bytes of Ethernet frames
	Received uint64                   // bytes of Ethernet frames
}

// NetworkState is the first part of the way to the API server that is missing.
type NetworkState uint8

// The states of a network, in the order in which they are left behind.
const (
	NetworkOff             NetworkState = iota // nothing has been tried yet
	NetworkNoAccessPoint                       // the Wi-Fi network cannot be found, or was lost
	NetworkWrongPassphrase                     // the access point refuses the passphrase
	NetworkNoAddress                           // joined; DHCP has not answered
	NetworkNoGateway                           // the gateway's name or port does not answer
	NetworkNoAPIServer                         // the gateway answers, the API server does not
	NetworkUp

	NumNetworkStates = int(NetworkUp) + 1
)

// String returns the name that /pico/status and the metrics show.
func (s NetworkState) String() string {
	switch s {
	case NetworkOff:
		return "Off"
	case NetworkNoAccessPoint:
		return "NoAccessPoint"
	case NetworkWrongPassphrase:
		return "WrongPassphrase"
	case NetworkNoAddress:
		return "NoAddress"
	case NetworkNoGateway:
		return "NoGateway"
	case NetworkNoAPIServer:
		return "NoAPIServer"
	case NetworkUp:
		return "Up"
	}
	return ""
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
