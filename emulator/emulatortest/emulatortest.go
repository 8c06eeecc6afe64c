// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulatortest boots emulated boards in tests. It ends them with the test,
// and decides what a missing Node.js means; what the boards do is package emulator's
// matter.
package emulatortest

import (
	"errors"
	"log/slog"
	"os"
	"testing"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
)

// Boot boots a board that ends with the test. Its console goes to the test's log
// unless c says otherwise. Without Node.js the test is skipped on a person's machine
// and fails where CI=true.
func Boot(t testing.TB, c emulator.Config) *emulator.Board {
	t.Helper()
	if c.Console == nil {
		c.Console = t.Output()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := emulator.Boot(t.Context(), c)
	if errors.Is(err, emulator.ErrNoNode) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// Segment makes a segment that ends with the test.
func Segment(t testing.TB, c segment.Config) *segment.Segment {
	t.Helper()
	s, err := segment.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
