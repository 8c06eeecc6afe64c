// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/emulator"
)

// maxHang is how long a hang lasts: the watchdog's 8 s, and the way to where it was fed last.
const maxHang = 8300 * time.Millisecond

// The flash does not end the erase or program with which a new configuration is
// stored: the watchdog ends that, and the board tells what hung and goes on with the
// new configuration.
func TestPicoWIsResetByItsWatchdog(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("pico-hang")
	b := readyPico(t, p, picoOptions{pace: emulator.PaceHost, settings: p.readsPicoConfig(t, name)})
	must(t, b.Fault().Freeze(t.Context(), emulator.Flash))
	p.setConfig(t, name, data{"pin_15": "HIGH"})
	high := func(s emulator.State) bool { return s.Pins[15].Level == emulator.High }
	must(t, b.Wait(t.Context(), time.Minute, "the new configuration in force", high))
	began := b.State().Now

	must(t, b.Wait(t.Context(), 2*maxHang, "a reset by the watchdog", func(s emulator.State) bool { return len(s.Resets) == 2 }))
	if r := b.State().Resets[1]; r.Cause != "watchdog" || r.At-began > maxHang {
		t.Errorf("reset by %s after %v, want by the watchdog after at most %v", r.Cause, r.At-began, maxHang)
	}
	const why = "watchdog: hang in flash"
	b.say(t, `reset="`+why+`"`, time.Second)
	b.say(t, "Node registered", maxReady)
	b.waitReady(t)
	if e := p.waitEvent(t, b.name, "DeviceRebooted", "rebooted: "+why); e.Type != corev1.EventTypeWarning {
		t.Errorf("the Event is of type %s, want Warning", e.Type)
	}
	checkResetReason(t, b, why)
	must(t, b.Wait(t.Context(), time.Minute, "the configuration in force again", high))
	if n := len(b.State().Resets); n != 2 {
		t.Errorf("%d resets, want power-on and one by the watchdog", n)
	}
}

// checkResetReason checks what the board says about its last reset.
func checkResetReason(t *testing.T, b *picoW, want string) {
	t.Helper()
	text, err := b.get(t.Context(), "/pico/status")
	must(t, err)
	var status struct{ Board struct{ ResetReason string } }
	must(t, json.Unmarshal([]byte(text), &status))
	if got := status.Board.ResetReason; got != want {
		t.Errorf("/pico/status gives the reset reason %q, want %q", got, want)
	}
}

// A converter that does not answer is no reason to hang: the board goes on, without
// a temperature.
func TestPicoWOutlivesItsADC(t *testing.T) {
	t.Parallel()
	requireTime(t)
	b := readyPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	const temperature = "picolet_temperature_celsius"
	if _, ok := b.metrics(t)[temperature]; !ok {
		t.Errorf("the metrics have no %s", temperature)
	}
	must(t, b.Fault().Freeze(t.Context(), emulator.ADC))
	must(t, b.Sleep(t.Context(), 2*maxHang))
	if celsius, ok := b.metrics(t)[temperature]; ok {
		t.Errorf("the metrics say %s %v", temperature, celsius)
	}
	b.waitRenewed(t, b.waitLease(t))
	b.noReboot(t)
}
