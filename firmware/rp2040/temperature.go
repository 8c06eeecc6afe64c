// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

// The ADC has 12 bits of its supply, which also is its reference on a Pico W.
const (
	adcSteps           = 1 << 12
	adcReferenceMicros = 3_300_000
)

// temperatureSamples is how often the sensor is asked for one temperature: a step
// of the ADC is 0.47 degrees, and noise is larger.
const temperatureSamples = 16

// milliDegrees returns the temperature, in thousandths of a degree Celsius, from
// the sum of temperatureSamples readings of the sensor: 0.706 V at 27 degrees and
// 1.721 mV less for each more (4.9.5). One board differs from the next by several
// degrees.
func milliDegrees(sum uint32) int32 {
	microvolts := int64(sum) * adcReferenceMicros / (adcSteps * temperatureSamples)
	return int32(27_000 - (microvolts-706_000)*1000/1721)
}

// millivolts returns the voltage of one reading.
func millivolts(reading uint32) uint16 {
	return uint16(reading * (adcReferenceMicros / 1000) / adcSteps)
}
