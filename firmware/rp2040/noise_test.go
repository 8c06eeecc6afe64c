// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"math"
	"math/rand/v2"
	"testing"
)

// biased returns a source of independent samples that are 1 with a probability.
func biased(probability float64, seed uint64) func() uint32 {
	r := rand.New(rand.NewPCG(seed, 0))
	return func() uint32 {
		if r.Float64() < probability {
			return 1
		}
		return 0
	}
}

// pattern returns a source that repeats what it is given.
func pattern(samples ...uint32) func() uint32 {
	i := -1
	return func() uint32 {
		i = (i + 1) % len(samples)
		return samples[i]
	}
}

func TestNoiseRaisesTheAlarmOnABadSource(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source func() uint32
		want   error
	}{
		"good":               {biased(0.5, 1), nil},
		"biased":             {biased(0.8, 2), nil},
		"biased, the other":  {biased(0.2, 3), nil},
		"hardly random":      {biased(0.98, 4), ErrEntropy},
		"stuck at 0":         {pattern(0), ErrEntropy},
		"stuck at 1":         {pattern(1), ErrEntropy},
		"alternating":        {pattern(0, 1), ErrEntropy},
		"alternating slowly": {pattern(0, 0, 1, 1), ErrEntropy},
	} {
		var n noise
		var p [32]byte
		if got := n.fill(p[:], c.source); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestNoiseRaisesNoFalseAlarm: three hundred seeds from a source as bad as claimed to
// be good enough.
func TestNoiseRaisesNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		var n noise
		var p [32]byte
		if err := n.fill(p[:], biased(0.7, seed)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// oscillator returns samples of a ring oscillator, taken every interval of
// microseconds, whose phase wanders.
func oscillator(megahertz, interval float64, seed uint64) func() uint32 {
	r := rand.New(rand.NewPCG(seed, 0))
	phase := 0.0
	return func() uint32 {
		phase += megahertz*interval + 0.01*r.NormFloat64()
		return uint32(int64(math.Floor(2*phase)) & 1)
	}
}

// TestAttemptsEscapeABeat: an oscillator in step with the sampling looks failed in one
// attempt; of all attempts, several take it for what it is, whatever its frequency in
// the range of the datasheet (2.17.1: 1.8 to 12 MHz).
func TestAttemptsEscapeABeat(t *testing.T) {
	t.Parallel()
	const microsecondsOfRead = 0.04
	beats := 0
	for kilohertz := 1800; kilohertz <= 12000; kilohertz += 100 {
		good := 0
		for attempt := range delays {
			var n noise
			var p [32]byte
			interval := 1 + microsecondsOfRead*float64(delayOf(attempt))
			err := n.fill(p[:], oscillator(float64(kilohertz)/1000, interval, uint64(kilohertz)))
			if err == nil {
				good++
			} else if attempt == 0 {
				beats++
			}
		}
		if good < 3 {
			t.Errorf("%d kHz: %d of %d attempts are good", kilohertz, good, delays)
		}
	}
	if beats == 0 {
		t.Error("no frequency beats with the first attempt: the test shows nothing")
	}
	for attempt := range delays {
		var n noise
		var p [32]byte
		if n.fill(p[:], pattern(1)) != ErrEntropy {
			t.Errorf("attempt %d takes a stopped oscillator for a good one", attempt)
		}
	}
}

func TestHealthTestsHaveTheirCutoffs(t *testing.T) {
	t.Parallel()
	var n noise
	for range maxSampleRun - 1 {
		n.check(1)
	}
	if n.check(0); n.suspicious {
		t.Errorf("%d equal samples in a row are too few for an alarm", maxSampleRun-1)
	}
	for range maxSampleRun {
		n.check(1)
	}
	if !n.suspicious {
		t.Errorf("%d equal samples in a row raise no alarm", maxSampleRun)
	}
	for zeros, want := range map[int]bool{windowSize - maxMatches: true, windowSize - maxMatches + 1: false} {
		n := noise{}
		for i := range windowSize {
			if i > 0 && i%22 == 0 && zeros > 0 { // spread: no long runs
				n.check(0)
				zeros--
			} else {
				n.check(1)
			}
		}
		if zeros != 0 || n.suspicious != want {
			t.Errorf("proportion: alarm %v, want %v (%d zeros left)", n.suspicious, want, zeros)
		}
	}
}

// TestNoiseTakesBiasAway: of a source that is 1 four times of five, every bit of the
// result is 1 half of the times, within five standard deviations.
func TestNoiseTakesBiasAway(t *testing.T) {
	t.Parallel()
	source := biased(0.8, 7)
	const rounds = 1000
	var ones [8 * 4]int
	for range rounds {
		var n noise
		var p [4]byte
		if err := n.fill(p[:], source); err != nil {
			t.Fatal(err)
		}
		for i := range ones {
			ones[i] += int(p[i/8] >> (i % 8) & 1)
		}
	}
	for i, n := range ones {
		if n < rounds/2-80 || n > rounds/2+80 {
			t.Errorf("bit %d is 1 in %d of %d", i, n, rounds)
		}
	}
}
