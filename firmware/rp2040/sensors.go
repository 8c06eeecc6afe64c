// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"device/rp"
	"machine"
	"runtime"
	"time"
	"unsafe"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
)

// Sensors reads the chip. One look takes about half a millisecond: the
// runtime counts the blocks of the heap.
type Sensors struct {
	CPU *Meter // Optional [no CPU time]

	rssi  int16
	stats runtime.MemStats // a field, so that reading it allocates nothing
	peak  uint64
}

var _ board.Sensors = (*Sensors)(nil)

// SetRSSI takes the strength of the Wi-Fi signal in dBm, 0 where it is not known.
func (s *Sensors) SetRSSI(dBm int16) { s.rssi = dBm }

// Read fills r with the values at now.
func (s *Sensors) Read(now time.Duration, r *board.Readings) {
	runtime.ReadMemStats(&s.stats)
	s.peak = max(s.peak, s.stats.HeapInuse)
	r.HeapUsed, r.HeapTotal = s.stats.HeapInuse, s.stats.HeapSys
	r.FlashUsed, r.FlashTotal = uint64(imageEnd()), flash.Size
	r.TemperatureMilli, r.HasTemperature = temperature(), true
	r.RSSI, r.HasRSSI = s.rssi, s.rssi != 0
	if s.CPU != nil {
		r.CPUTime, r.HasCPUTime = s.CPU.Busy(now), true
	}
}

// HeapPeak returns the most bytes of heap that Read has seen in use. What nobody
// refers to any more counts until the collector runs, which it does when
// nothing else is left.
func (s *Sensors) HeapPeak() uint64 { return s.peak }

// temperatureChannel is the ADC channel of the sensor (4.9.5).
const temperatureChannel = 4

// temperature measures for about 40 µs.
func temperature() int32 {
	var sum uint32
	for range temperatureSamples {
		sum += sample(temperatureChannel)
	}
	return milliDegrees(sum)
}

// sample returns one reading of an ADC channel, of 12 bits.
func sample(channel uint32) uint32 {
	if !rp.ADC.CS.HasBits(rp.ADC_CS_TS_EN) {
		machine.InitADC()
		rp.ADC.CS.SetBits(rp.ADC_CS_TS_EN)
	}
	rp.ADC.CS.Set(rp.ADC_CS_EN | rp.ADC_CS_TS_EN | channel<<rp.ADC_CS_AINSEL_Pos | rp.ADC_CS_START_ONCE)
	for !rp.ADC.CS.HasBits(rp.ADC_CS_READY) {
	}
	return rp.ADC.RESULT.Get()
}

// flashDataStart is where the image ends in flash, by TinyGo's linker script.
//
//go:extern __flash_data_start
var flashDataStart [0]byte

// flashStart is where the processor sees the flash (2.2).
const flashStart = 0x1000_0000

// imageEnd is the offset in flash behind the firmware's image.
func imageEnd() uint32 { return uint32(uintptr(unsafe.Pointer(&flashDataStart))) - flashStart }
