// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
)

// TestPicoWAtOtherClocks: the image joins its network at TinyGo's clock and at one that
// the data sheet of the RP2040 allows, and has set the PLL to it.
func TestPicoWAtOtherClocks(t *testing.T) {
	t.Parallel()
	c, err := compiler(t).WithClock(t.Context(), 125)
	must(t, err)
	slow, err := buildPicoW(t, c)
	must(t, err)
	for hertz, image := range map[float64][]byte{200e6: picoWImage(t), 125e6: slow} {
		b := emulatortest.Boot(t, emulator.Config{Images: [][]byte{image, provisioned(t)}, SSID: ssid, Passphrase: passphrase})
		must(t, b.Console().Wait(t.Context(), "Wi-Fi joined", 5*time.Second))
		stats, err := b.Stats(t.Context())
		must(t, err)
		if stats.ClockHertz != hertz || len(stats.Violations) > 0 {
			t.Errorf("the processor runs at %.0f Hz, want %.0f; rules of the bus: %v", stats.ClockHertz, hertz, stats.Violations)
		}
		noResets(t, b)
	}
}
