// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
)

func boot(t *testing.T, c emulator.Config, code ...[]uint16) *emulator.Board {
	t.Helper()
	c.Images = append([][]byte{image(code...)}, c.Images...)
	return emulatortest.Boot(t, c)
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func highPin(n uint32) []uint16 {
	return slices.Concat(store(ioBank0+8*n+4, functionSIO), store(sioOESet, 1<<n), store(sioOutSet, 1<<n))
}

func TestBoardSpeaksAndDrivesPins(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{}, say("one two"), highPin(5), say(" three"))
	noError(t, b.Console().Wait(t.Context(), "t", time.Second))
	noError(t, b.Console().Wait(t.Context(), "thr", time.Second))
	noError(t, b.WaitPin(t.Context(), 5, emulator.High, time.Second))
	noError(t, b.Console().Wait(t.Context(), "ee", time.Second))
	if got := b.Console().Text(); got != "one two three" {
		t.Errorf("console: %q", got)
	}
	if b.Pin(5).Level != emulator.High || b.Pin(6).Level != emulator.Floating || b.LED() {
		t.Errorf("state: %+v", b.State())
	}
}

func TestWaitEndsAtItsLimitOfEmulatedTime(t *testing.T) {
	t.Parallel()
	for _, pace := range []emulator.Pace{emulator.PaceFree, emulator.PaceHost} {
		t.Run(string(pace), func(t *testing.T) {
			t.Parallel()
			b := boot(t, emulator.Config{Pace: pace}, say("hello"))
			before := b.State().Now
			err := b.Console().Wait(t.Context(), "nothing", 30*time.Millisecond)
			limit, ok := errors.AsType[*emulator.LimitError](err)
			if !ok || limit.Limit != 30*time.Millisecond || !strings.Contains(err.Error(), "hello") || !strings.Contains(err.Error(), `"nothing"`) {
				t.Errorf("got %v", err)
			}
			if passed := b.State().Now - before; passed < 30*time.Millisecond {
				t.Errorf("%s have passed", passed)
			}
		})
	}
}

func TestHostTimeEndsAWait(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{Pace: emulator.PaceStopped, WaitTimeout: 50 * time.Millisecond})
	err := b.Sleep(t.Context(), time.Second)
	if err == nil || !strings.Contains(err.Error(), "50ms of the host's time") {
		t.Errorf("got %v", err)
	}
	if now := b.State().Now; now != 0 {
		t.Errorf("%s have passed for a board that is stopped", now)
	}
}

func TestFaultOfTheGuestEndsAWait(t *testing.T) {
	t.Parallel()
	const breakpoint = 0xbe01
	b := boot(t, emulator.Config{}, say("before"), []uint16{breakpoint})
	err := b.Console().Wait(t.Context(), "after", time.Second)
	halt, ok := errors.AsType[*emulator.HaltError](err)
	if !ok || halt.Kind != "GuestFault" || !strings.Contains(halt.Reason, "pc 0x10000") || !strings.Contains(err.Error(), "before") {
		t.Fatalf("got %v", err)
	}
	noError(t, b.PressReset(t.Context()))
	noError(t, b.Console().Wait(t.Context(), "before", time.Second))
}

func TestResetsAndPower(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{}, say("boot "), pause(1000), store(aircr, 0x05fa0004))
	ctx := t.Context()
	causes := func(n int, what string) {
		t.Helper()
		noError(t, b.Wait(ctx, time.Second, what, func(s emulator.State) bool {
			return len(s.Resets) >= n && s.Resets[n-1].Cause == what
		}))
	}
	causes(1, "power-on")
	causes(2, "system")
	noError(t, b.PowerCut(ctx, emulator.Cut{}))
	err := b.Sleep(ctx, time.Second)
	if halt, ok := errors.AsType[*emulator.HaltError](err); !ok || !strings.Contains(halt.Reason, "no power") {
		t.Errorf("without power: %v", err)
	}
	noError(t, b.PowerOn(ctx))
	last := len(b.State().Resets) - 1
	if got := b.State().Resets[last].Cause; got != "power-on" && got != "system" {
		t.Errorf("after power came back: %q", got)
	}
	noError(t, b.Sleep(ctx, time.Millisecond))
}

func TestFlash(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{}, say("x"))
	ctx := t.Context()
	if err := b.LoadFlash(ctx, []byte{1}); err == nil || !strings.Contains(err.Error(), "take its power away") {
		t.Errorf("loading a board that runs: %v", err)
	}
	noError(t, b.PowerCut(ctx, emulator.Cut{}))
	if err := b.LoadFlash(ctx, make([]byte, 3<<20)); err == nil || !strings.Contains(err.Error(), "not in the board's flash") {
		t.Errorf("an image that is too large: %v", err)
	}
	noError(t, b.LoadFlash(ctx, image(say("y"))))
	noError(t, b.PowerOn(ctx))
	noError(t, b.Console().Wait(ctx, "y", time.Second))
	got, err := b.ReadFlash(ctx, 0, 300)
	noError(t, err)
	if !slices.Equal(got[:256], image()[:256]) {
		t.Error("flash does not begin as the image")
	}
	if _, err := b.ReadFlash(ctx, 2<<20-1, 2); err == nil {
		t.Error("read behind the end of flash")
	}
	wear, err := b.FlashWear(ctx)
	if err != nil || len(wear) != 512 || wear[0] != 0 {
		t.Errorf("wear of %d sectors, %v", len(wear), err)
	}
}

func TestMemoryAndCounters(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{}, store(0x20000400, 0x01020304), say("."))
	ctx := t.Context()
	noError(t, b.Console().Wait(ctx, ".", time.Second))
	touched, err := b.TouchedRAM(ctx, 0x20000000, 0x20001000)
	noError(t, err)
	if touched.Lowest < 0x20000400 || touched.Highest > 0x20000403 {
		t.Errorf("touched %x", touched)
	}
	if touched, err = b.TouchedRAM(ctx, 0x20001000, 0x20002000); err != nil || touched != (emulator.Touched{}) {
		t.Errorf("touched %x, %v", touched, err)
	}
	stats, err := b.Stats(ctx)
	if err != nil || stats.Cycles < 20 || stats.Now == 0 || stats.FlashOperations != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	noError(t, b.DrivePin(ctx, 7, true))
	noError(t, b.SetADC(ctx, 4, 1000))
	noError(t, b.Fault().AccessPointAway(ctx, true))
	noError(t, b.Fault().Passphrase(ctx, "another one"))
	noError(t, b.Fault().Uplink(ctx, emulator.Impairment{Loss: 0.5, Delay: time.Millisecond}))
	noError(t, b.Fault().Downlink(ctx, emulator.Impairment{}))
	for _, part := range []emulator.Part{emulator.WLAN, emulator.Bus, emulator.Flash, emulator.ADC, emulator.ROSC} {
		noError(t, b.Fault().Freeze(ctx, part))
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	b := boot(t, emulator.Config{})
	ctx := t.Context()
	_, touched := b.TouchedRAM(ctx, 0, 4)
	_, dialled := b.Net().Dial(ctx, 10250)
	for what, err := range map[string]error{
		"pin 30":     b.DrivePin(ctx, 30, true),
		"channel 5":  b.SetADC(ctx, 5, 0),
		"pace":       b.SetPace(ctx, "slow"),
		"impairment": b.Fault().Uplink(ctx, emulator.Impairment{Loss: 2}),
		"part":       b.Fault().Freeze(ctx, "ears"),
		"cut":        b.PowerCut(ctx, emulator.Cut{Operation: -1}),
		"RAM":        touched,
		"dial":       dialled,
	} {
		if err == nil {
			t.Errorf("%s is not refused", what)
		}
	}
	for what, c := range map[string]emulator.Config{
		"no image":    {},
		"large image": {Images: [][]byte{make([]byte, 7<<20)}},
		"bad link":    {Images: [][]byte{image()}, Link: "usb"},
		"bad image":   {Images: [][]byte{[]byte("UF2\n")}, Link: "word", Pace: "slow"},
	} {
		if b, err := emulator.Boot(ctx, c); err == nil {
			_ = b.Close()
			t.Errorf("%s: boots", what)
		}
	}
}
