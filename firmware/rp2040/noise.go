// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import "errors"

// ErrEntropy says that the ring oscillator's random bit does not look random.
// What was made of it must not become a key.
var ErrEntropy = errors.New("rp2040: the ring oscillator's bits are not random: is it stopped, or injected with a clock?")

// noise collects random bits from a source of bad ones. What goes in is judged by
// the two continuous health tests of NIST SP 800-90B, section 4.4, for a
// claim of an eighth of a bit of entropy a sample and one false alarm in 2^20;
// what comes out is freed from bias as von Neumann did, and folded. The first test
// judges the bits in between as well, for half a bit each: a source that only
// alternates passes both before.
type noise struct {
	samples, bits repetition
	window        int    // samples in the present window
	first         uint32 // of the window
	matches       int    // samples in the window equal to its first
	suspicious    bool
}

const (
	// The cutoffs of the repetition count test, 4.4.1: 1 + 20/H.
	maxSampleRun = 1 + 20*8
	maxBitRun    = 1 + 20*2
	// maxMatches is the cutoff of the adaptive proportion test, 4.4.2, in
	// windows of windowSize: 1 + CRITBINOM(1024, 2^-H, 1-2^-20).
	windowSize = 1024
	maxMatches = 979
)

// repetition counts equal values in a row.
type repetition struct {
	last uint32
	run  int
}

func (r *repetition) count(value uint32) int {
	if value != r.last {
		r.last, r.run = value, 0
	}
	r.run++
	return r.run
}

// folded is how many bits of von Neumann's make one.
const folded = 8

// maxSamples bounds the samples for one bit: good ones need 32 on average.
const maxSamples = 1024

// check runs the health tests on a sample.
func (n *noise) check(sample uint32) {
	if n.samples.count(sample) >= maxSampleRun {
		n.suspicious = true
	}
	if n.window == 0 {
		n.first, n.matches = sample, 0
	}
	if sample == n.first {
		n.matches++
	}
	if n.matches >= maxMatches {
		n.suspicious = true
	}
	n.window = (n.window + 1) % windowSize
}

// bit returns one bit: of each two samples that differ, the first counts, and
// folded such bits are added modulo 2, so that what bias and dependence is left
// shrinks by that power. A source that gives too few is suspicious, and one that is
// suspicious is not waited for.
func (n *noise) bit(sample func() uint32) (sum uint32) {
	for got, taken := 0, 0; got < folded; taken += 2 {
		if taken >= maxSamples || n.suspicious && taken >= 2*folded {
			n.suspicious = true
			return sum
		}
		a, b := sample()&1, sample()&1
		n.check(a)
		n.check(b)
		if a == b {
			continue
		}
		if n.bits.count(a) >= maxBitRun {
			n.suspicious = true
		}
		sum ^= a
		got++
	}
	return sum
}

// delays is how many intervals of sampling there are.
const delays = 16

// delayOf is how many reads of a register an attempt puts between the microsecond and
// its sample. A read takes some 40 ns, a fraction of the oscillator's period of some
// 150 ns, so that attempts differ in their beat. They do not differ within an attempt:
// an interval that varied by a rule would make a clock look like noise to the tests.
func delayOf(attempt int) int { return attempt % delays }

// fill fills p with random bits.
func (n *noise) fill(p []byte, sample func() uint32) error {
	for i := range p {
		for range 8 {
			p[i] = p[i]<<1 | byte(n.bit(sample))
		}
	}
	if n.suspicious {
		return ErrEntropy
	}
	return nil
}
