// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"errors"
	"testing"
	"time"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/board/flash/flashtest"
	"github.com/picolet/picolet/firmware/boot"
	"github.com/picolet/picolet/settings"
)

// clock is a time that pauses alone move.
type clock struct {
	now    time.Duration
	pauses int
}

func (c *clock) time() time.Duration { return c.now }

func (c *clock) pause() {
	c.now += 100 * time.Millisecond
	c.pauses++
}

func TestRetryEndsWithSuccess(t *testing.T) {
	t.Parallel()
	var c clock
	var calls []int
	boot.Retry(c.time, c.pause, func(n int) bool {
		calls = append(calls, n)
		return n == 2
	})
	if len(calls) != 3 || calls[2] != 2 || c.pauses != 2 {
		t.Errorf("calls %v, %d pauses", calls, c.pauses)
	}
}

func TestRetryGivesUp(t *testing.T) {
	t.Parallel()
	c := clock{now: time.Hour}
	boot.Retry(c.time, c.pause, func(int) bool { return false })
	if c.now != time.Hour+boot.Patience || c.pauses != 100 {
		t.Errorf("gave up after %v and %d pauses", c.now-time.Hour, c.pauses)
	}
}

// brownOut is flash that cannot be read at first.
type brownOut struct {
	*flashtest.Flash
	failures int
}

func (b *brownOut) ReadAt(p []byte, off uint32) error {
	if b.failures > 0 {
		b.failures--
		return errors.New("brown-out")
	}
	return b.Flash.ReadAt(p, off)
}

// TestSettingsAreReadAfterABrownOut: reads that fail for a while cost a board its
// settings for that long only.
func TestSettingsAreReadAfterABrownOut(t *testing.T) {
	t.Parallel()
	chip := &brownOut{Flash: flashtest.New(flash.SettingsOffset, flash.SettingsSectors, 1)}
	want := settings.Settings{NodeName: "pico-1", SSID: "home", Gateway: "gateway:6080", Provisioned: 1}
	if err := settings.Save(chip, &want); err != nil {
		t.Fatal(err)
	}
	chip.failures = 50
	var c clock
	var got settings.Settings
	var err error
	boot.Retry(c.time, c.pause, func(int) bool {
		got, err = settings.Load(chip)
		return err == nil
	})
	if err != nil || got.NodeName != want.NodeName || c.pauses == 0 {
		t.Errorf("%v, %v after %d pauses", got, err, c.pauses)
	}
}
