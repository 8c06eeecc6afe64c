// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package signal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/firmware/signal"
)

// drawn shows two periods of a signal, a sign for each 100 ms.
func drawn(f signal.Flashes, period time.Duration) string {
	var b strings.Builder
	for t := time.Duration(0); t < 2*period; t += 100 * time.Millisecond {
		if lit, _ := f.At(t); lit {
			b.WriteByte('#')
		} else {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func TestFlashesStandBeforeAPause(t *testing.T) {
	t.Parallel()
	for f, once := range map[signal.Flashes]string{
		signal.NotProvisioned:  "##..##............",
		signal.SettingsRefused: "##..##..##............",
	} {
		if got := drawn(f, time.Duration(len(once))*100*time.Millisecond); got != once+once {
			t.Errorf("%d flashes look like\n%s, want\n%s", f, got, once+once)
		}
	}
}

// TestUntilIsTheNextChange: who looks only then misses nothing.
func TestUntilIsTheNextChange(t *testing.T) {
	t.Parallel()
	for _, f := range []signal.Flashes{signal.NotProvisioned, signal.SettingsRefused} {
		lit, until := f.At(0)
		for at := time.Duration(0); at < 10*time.Second; at += time.Millisecond {
			if at == until {
				was := lit
				if lit, until = f.At(at); lit == was {
					t.Fatalf("%d flashes: nothing changes at %v", f, at)
				}
			}
			if now, _ := f.At(at); now != lit || until <= at {
				t.Fatalf("%d flashes: at %v lit is %v, want %v until %v", f, at, now, lit, until)
			}
		}
	}
}
