// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
	"github.com/picolet/picolet/emulator/segment"
	"github.com/picolet/picolet/firmware/toolchain/tinygo"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

// These tests run the firmware of a Pico W on an emulated one: nothing of this has been
// seen on silicon. Durations are emulated time.

const (
	ssid       = "workshop"
	passphrase = "correct horse"

	// flashStart is where the processor sees its flash.
	flashStart = 0x10000000
)

// What the firmware may take of a Pico W, in bytes: the rest of flash is for a
// second image, the rest of RAM for the heap.
const (
	maxPicoWFlash  = 640 << 10
	maxPicoWStatic = 40 << 10
)

var picoW struct {
	once sync.Once
	elf  []byte
	err  error
}

// imageVariable names the ELF file of the firmware, where it was built before.
const imageVariable = "PICO_W_IMAGE"

// picoWImage is the firmware, built once.
func picoWImage(t *testing.T) []byte {
	t.Helper()
	c := compiler(t)
	picoW.once.Do(func() {
		if built := os.Getenv(imageVariable); built != "" {
			picoW.elf, picoW.err = os.ReadFile(built)
			return
		}
		picoW.elf, picoW.err = buildPicoW(t, c)
	})
	if picoW.err != nil {
		t.Fatal(picoW.err)
	}
	return picoW.elf
}

// buildPicoW compiles the firmware.
func buildPicoW(t *testing.T, c tinygo.Compiler) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pico-w")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pico-w.elf")
	// Not the first test's context: the image is everybody's.
	said, err := c.Command(context.Background(), "build", "-interp-timeout=10m", "-target=pico-w/pico-w.json", "-o="+path, "./pico-w").CombinedOutput()
	if err != nil {
		t.Logf("%s", said)
		return nil, err
	}
	return os.ReadFile(path)
}

// provisioned are the settings of a board as a UF2.
func provisioned(t *testing.T) []byte {
	t.Helper()
	uf2, err := provision.UF2(settings.Settings{
		NodeName: "pico-1", SSID: ssid, Passphrase: passphrase, Gateway: "10.42.0.1:6080", Country: "DE",
	})
	if err != nil {
		t.Fatal(err)
	}
	return uf2
}

// must ends a test at an error of the emulator.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// maxUnnoticed is how long a chip that hangs may go unnoticed: until it is asked for
// something, every 10 s, and is asked twice more.
const maxUnnoticed = 13 * time.Second

// noResets fails if the board was reset after power-on.
func noResets(t *testing.T, b *emulator.Board) {
	t.Helper()
	if s := b.State(); len(s.Resets) != 1 || s.Halt != "" {
		t.Errorf("resets %v, halt %q, want none but power-on", s.Resets, s.Halt)
	}
}

func TestPicoWFitsTheBoard(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "pico-w.elf")
	must(t, os.WriteFile(image, picoWImage(t), 0o600))
	table := run(t, exec.CommandContext(t.Context(), "go", "run", "./footprint", "pico-w="+image))
	t.Log("\n" + table)
	fields := strings.Split(table[strings.LastIndex(table, "| pico-w "):], "|")
	for column, c := range map[string]struct{ at, budget int }{
		"flash": {2, maxPicoWFlash}, "static RAM": {3, maxPicoWStatic},
	} {
		n, err := strconv.Atoi(strings.TrimSpace(fields[c.at]))
		must(t, err)
		if n > c.budget {
			t.Errorf("%d bytes of %s, over the budget of %d", n, column, c.budget)
		}
	}
}

// flashesIn counts how often the LED goes on in a time.
func flashesIn(t *testing.T, b *emulator.Board, d time.Duration) (n int) {
	t.Helper()
	end, lit := b.State().Now+d, b.LED()
	must(t, b.Wait(t.Context(), 2*d, "the end of the count", func(s emulator.State) bool {
		if s.LED && !lit {
			n++
		}
		lit = s.LED
		return s.Now >= end
	}))
	return n
}

// TestPicoWNotProvisionedSaysSo: it says so for good, and leaves it to its owner.
func TestPicoWNotProvisionedSaysSo(t *testing.T) {
	t.Parallel()
	const says, flashes = `run "picolet provision"`, 11 * 2 // in 19.8 s: 11 times 2 and a pause
	b := emulatortest.Boot(t, emulator.Config{Images: [][]byte{picoWImage(t)}, SSID: ssid, Passphrase: passphrase})
	must(t, b.Console().Wait(t.Context(), says, 2*time.Second))
	must(t, b.Sleep(t.Context(), 2*time.Second))
	if n := flashesIn(t, b, 19800*time.Millisecond); n < flashes-1 || n > flashes+1 {
		t.Errorf("the LED flashes %d times, want %d", n, flashes)
	}
	must(t, b.Sleep(t.Context(), 55*time.Second))
	if n := strings.Count(b.Console().Text(), says); n < 2 || n > 4 {
		t.Errorf("said %d times in some 75 s, want every 30 s:\n%s", n, b.Console().Text())
	}
	if b.State().Joined {
		t.Error("it has joined a network")
	}
	noResets(t, b)
}

func TestPicoWStaysInItsWiFi(t *testing.T) {
	t.Parallel()
	b := emulatortest.Boot(t, emulator.Config{
		Images: [][]byte{picoWImage(t), provisioned(t)}, SSID: ssid, Passphrase: passphrase,
		Segment: emulatortest.Segment(t, segment.Config{}), Pace: emulator.PaceFree,
	})
	ctx, console := t.Context(), b.Console()
	must(t, console.Wait(ctx, "Wi-Fi joined", 3*time.Second))
	must(t, console.Wait(ctx, "Gateway is not reached yet", 5*time.Second))

	must(t, b.Fault().AccessPointAway(ctx, true))
	must(t, console.Wait(ctx, "Wi-Fi lost", time.Second))
	must(t, b.Sleep(ctx, time.Minute))
	must(t, b.Fault().AccessPointAway(ctx, false))
	must(t, console.Wait(ctx, "Wi-Fi joined", 15*time.Second))

	must(t, b.Fault().AccessPointAway(ctx, true))
	must(t, b.Fault().Passphrase(ctx, "another horse"))
	must(t, b.Fault().AccessPointAway(ctx, false))
	must(t, console.Wait(ctx, "Wi-Fi passphrase refused", 15*time.Second))
	must(t, b.Fault().Passphrase(ctx, passphrase))
	must(t, console.Wait(ctx, "Wi-Fi joined", 40*time.Second))

	for _, part := range []emulator.Part{emulator.WLAN, emulator.Bus} {
		must(t, b.Fault().Freeze(ctx, part))
		must(t, console.Wait(ctx, "Wi-Fi lost", maxUnnoticed))
		must(t, console.Wait(ctx, "Wi-Fi joined", 3*time.Second))
	}
	noResets(t, b)
	stats, err := b.Stats(ctx)
	must(t, err)
	if len(stats.Violations) > 0 {
		t.Errorf("rules of the bus were broken: %v", stats.Violations)
	}
	if strings.Contains(console.Text(), "horse") {
		t.Error("a passphrase is on the console")
	}
}

// TestPicoWSleeps: an idle board wakes by time or when the chip calls, and does not poll.
func TestPicoWSleeps(t *testing.T) {
	t.Parallel()
	b := emulatortest.Boot(t, emulator.Config{
		Images: [][]byte{picoWImage(t), provisioned(t)}, SSID: ssid, Passphrase: passphrase,
		Segment: emulatortest.Segment(t, segment.Config{}), Pace: emulator.PaceFree,
	})
	must(t, b.Fault().AccessPointAway(t.Context(), true))
	must(t, b.Sleep(t.Context(), 30*time.Second))
	before, err := b.Stats(t.Context())
	must(t, err)
	must(t, b.Sleep(t.Context(), time.Minute))
	after, err := b.Stats(t.Context())
	must(t, err)
	const most = 8e6
	if n := after.Cycles - before.Cycles; n > most || n == 0 {
		t.Errorf("a minute without a network takes %.0f cycles, want at most %.0f", n, most)
	}
}

// newerSettings are settings in a format that this firmware does not know.
func newerSettings(t *testing.T) []byte {
	t.Helper()
	newer := settings.Settings{NodeName: "pico-1", SSID: ssid, Gateway: "10.42.0.1:6080", Provisioned: 1}
	record, err := newer.Append(nil)
	must(t, err)
	binary.LittleEndian.PutUint16(record, settings.Version+1)
	block, err := flash.AppendBlock(nil, 1, record)
	must(t, err)
	file, err := uf2.Encode(uf2.RP2040, uf2.Segment{Address: flashStart + flash.SettingsOffset, Bytes: block})
	must(t, err)
	return file
}
