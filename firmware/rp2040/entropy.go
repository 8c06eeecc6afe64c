// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import "device/rp"

// Entropy fills out with random bits, in about 10 ms, and 20 ms at most: samples of the
// ring oscillator's random bit, one a microsecond, each judged by health tests, freed
// from bias and folded; then the unique id, the time and the noise of the ADC are
// added, so that two boards differ, and two boots most likely, even where the oscillator
// fails. The error is ErrEntropy where it looks failed: out is good then for what
// should only differ, such as ports and boot ids, and must not become a key.
//
// An oscillator whose frequency is near a whole multiple of the sampling rate beats with
// it, and looks failed although it is not: ask again with another attempt, from 0, each
// of which samples at another rate.
//
// What it is worth: the datasheet (2.17.5) says that the random bit does not meet
// the requirements of security systems, because it can be compromised: someone who
// reaches the supply or has a strong field near it can bias it, and how much entropy
// a sample has was never published. This function claims an eighth of a bit, takes 32
// samples for each bit it gives, and has no proof for the claim. TinyGo's crypto/rand
// has no generator on this chip.
func Entropy(out *[32]byte, attempt int) error {
	var n noise
	delay := delayOf(attempt)
	err := n.fill(out[:], func() uint32 {
		for start := micros(); micros() == start; {
		}
		for range delay {
			micros()
		}
		return rp.ROSC.GetRANDOMBIT()
	})
	mix(out[:], UniqueID())
	return err
}

// mix adds what differs between boards and between boots. Adding modulo 2 takes
// nothing away from what was there, since neither depends on it.
func mix(out []byte, id [8]byte) {
	for i := range out {
		reading, _ := sample(temperatureChannel) // 0 if the converter does not answer
		out[i] ^= id[i%len(id)] ^ byte(micros()>>(8*(i%4))) ^ byte(reading)<<(i%8)
	}
}
