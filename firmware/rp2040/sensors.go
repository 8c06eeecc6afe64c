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
	s.look()
	r.HeapUsed, r.HeapPeak, r.HeapTotal = s.stats.HeapInuse, s.peak, s.stats.HeapSys
	r.StackUnused = Stacks().MainFree
	r.FlashUsed, r.FlashTotal = uint64(imageEnd()), flash.Size
	r.TemperatureMilli, r.HasTemperature = temperature()
	r.RSSI, r.HasRSSI = s.rssi, s.rssi != 0
	if s.CPU != nil {
		r.CPUTime, r.HasCPUTime = s.CPU.Busy(now), true
	}
}

// Allocated is how many bytes have been allocated on the heap since the boot, those
// among them that have been freed since.
func (s *Sensors) Allocated() uint64 {
	s.look()
	return s.stats.TotalAlloc
}

func (s *Sensors) look() {
	runtime.ReadMemStats(&s.stats)
	s.peak = max(s.peak, s.stats.HeapInuse)
}

// HeapPeak returns the most bytes of heap that Read has seen in use. What nobody
// refers to any more counts until the collector runs, which it does by itself when
// nothing else is left.
func (s *Sensors) HeapPeak() uint64 { return s.peak }

// temperatureChannel is the ADC channel of the sensor (4.9.5).
const temperatureChannel = 4

// temperature measures for about 40 µs. ok is false if the ADC does not answer.
func temperature() (milli int32, ok bool) {
	var sum uint32
	for range temperatureSamples {
		reading, ok := sample(temperatureChannel)
		if !ok {
			return 0, false
		}
		sum += reading
	}
	return milliDegrees(sum), true
}

// maxADCPolls bounds the wait for a conversion of 2 µs (4.9.2): a poll takes some 5 cycles.
const maxADCPolls = 1000

// sample returns one reading of an ADC channel, of 12 bits. ok is false if the
// conversion does not end.
func sample(channel uint32) (reading uint32, ok bool) {
	if !rp.ADC.CS.HasBits(rp.ADC_CS_TS_EN) {
		machine.InitADC()
		rp.ADC.CS.SetBits(rp.ADC_CS_TS_EN)
	}
	rp.ADC.CS.Set(rp.ADC_CS_EN | rp.ADC_CS_TS_EN | channel<<rp.ADC_CS_AINSEL_Pos | rp.ADC_CS_START_ONCE)
	for range maxADCPolls {
		if rp.ADC.CS.HasBits(rp.ADC_CS_READY) {
			return rp.ADC.RESULT.Get(), true
		}
	}
	return 0, false
}

// flashDataStart is where the image ends in flash, by TinyGo's linker script.
//
//go:extern __flash_data_start
var flashDataStart [0]byte

// flashStart is where the processor sees the flash (2.2).
const flashStart = 0x1000_0000

// imageEnd is the offset in flash behind the firmware's image.
func imageEnd() uint32 { return uint32(uintptr(unsafe.Pointer(&flashDataStart))) - flashStart }
