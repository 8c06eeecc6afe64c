// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"testing"
)

func TestTemperatureFollowsTheDatasheet(t *testing.T) {
	t.Parallel()
	for reading, want := range map[uint32]float64{876: 27.1, 0: 437.2, 4095: -1479.8, 921: 6.0, 830: 48.7} {
		exact := 27 - (float64(reading)*3.3/4096-0.706)/0.001721 // 4.9.5
		got := float64(milliDegrees(reading*temperatureSamples)) / 1000
		if diff := got - exact; diff < -0.002 || diff > 0.002 {
			t.Errorf("a reading of %d is %.3f degrees, want %.3f", reading, got, exact)
		}
		if diff := got - want; diff < -0.1 || diff > 0.1 {
			t.Errorf("a reading of %d is %.1f degrees, want %.1f", reading, got, want)
		}
	}
	if got := millivolts(4095); got != 3299 {
		t.Errorf("full scale is %d mV, want 3299", got)
	}
	if got := millivolts(0); got != 0 {
		t.Errorf("nothing is %d mV", got)
	}
}
