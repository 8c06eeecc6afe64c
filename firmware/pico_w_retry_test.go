// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
	"github.com/picolet/picolet/firmware/boot"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

// TestPicoWRestartsWithUnusableSettings: it says what is wrong with them, and does not
// wait for somebody who pulls the plug.
func TestPicoWRestartsWithUnusableSettings(t *testing.T) {
	t.Parallel()
	const says, flashes = "settings: of format 2", 9 * 3 // in 19.8 s: 9 times 3 and a pause
	b := emulatortest.Boot(t, emulator.Config{Images: [][]byte{picoWImage(t), newerSettings(t)}, SSID: ssid, Passphrase: passphrase})
	must(t, b.Console().Wait(t.Context(), says, boot.Patience+2*time.Second))
	must(t, b.Sleep(t.Context(), 2*time.Second))
	if n := flashesIn(t, b, 19800*time.Millisecond); n < flashes-1 || n > flashes+1 {
		t.Errorf("the LED flashes %d times, want %d", n, flashes)
	}
	restarts(t, b, 2, 0)
	must(t, b.Console().Wait(t.Context(), says, boot.Patience+2*time.Second))
}

// TestPicoWRestartsAfterAnEntropyAlarm: a board that cannot make its key tries for a
// while, signals, restarts and tries again; once the oscillator runs, it is at work.
func TestPicoWRestartsAfterAnEntropyAlarm(t *testing.T) {
	t.Parallel()
	s := settings.Settings{NodeName: "pico-1", SSID: ssid, Passphrase: passphrase, Gateway: "10.42.0.1:6079"}
	s.GatewayKey[0] = 9
	file, err := provision.UF2(s)
	must(t, err)
	ctx := t.Context()
	b := emulatortest.Boot(t, emulator.Config{Images: [][]byte{picoWImage(t)}, SSID: ssid, Passphrase: passphrase})
	must(t, b.PowerCut(ctx, emulator.Cut{}))
	must(t, b.LoadFlash(ctx, file))
	must(t, b.Fault().Freeze(ctx, emulator.ROSC))
	must(t, b.PowerOn(ctx))
	on := b.State().Now
	must(t, b.Console().Wait(ctx, "entropy source failed", boot.Patience+10*time.Second))
	said := b.State().Now
	if tried := said - on; tried < boot.Patience {
		t.Errorf("gave up after %v, want %v", tried, boot.Patience)
	}
	restarts(t, b, 3, said)
	must(t, b.Console().Wait(ctx, "entropy source failed", boot.Patience+10*time.Second))
	must(t, b.PowerCut(ctx, emulator.Cut{}))
	must(t, b.PowerOn(ctx))
	must(t, b.Console().Wait(ctx, "Wi-Fi joined", 10*time.Second))
}

// restarts waits until a board that signals since a time has restarted, its nth reset.
func restarts(t *testing.T, b *emulator.Board, n int, since time.Duration) {
	t.Helper()
	must(t, b.Wait(t.Context(), boot.SignalTime+10*time.Second, "a restart", func(s emulator.State) bool { return len(s.Resets) == n }))
	r := b.State().Resets[n-1]
	if r.Cause != "watchdog" || since > 0 && (r.At-since < boot.SignalTime-time.Second || r.At-since > boot.SignalTime+5*time.Second) {
		t.Errorf("reset by %s after %v", r.Cause, r.At-since)
	}
}
