// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fips140hash stands in for the standard library's package of this name,
// which takes the hash of FIPS 140-3's module out of the public one.
//
// It fills a gap of TinyGo's linker: the standard library's package unwraps
// SHA-3, and so brings it, 18 KB of flash, into every program that uses an HMAC.
// Here all hashes are as they are; SHA-3 refuses nothing, but is not unwrapped.
package fips140hash

import "hash"

// Unwrap returns h.
func Unwrap(h hash.Hash) hash.Hash { return h }

// UnwrapNew returns a function that calls newHash.
func UnwrapNew[Hash hash.Hash](newHash func() Hash) func() hash.Hash {
	return func() hash.Hash { return newHash() }
}
