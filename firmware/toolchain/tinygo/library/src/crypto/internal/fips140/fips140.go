// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fips140 stands in for the standard library's package of this name: the
// mode of operation that FIPS 140-3 asks for, in which each algorithm tests
// itself before its first use.
//
// It fills a gap of TinyGo's linker. A board has no GODEBUG to turn the mode on
// by, but the linker keeps the self-tests, and with them AES, GCM, SHA-3, SHA-512
// and a generator of random bits, none of which a link uses: 50 KB of flash.
//
// Here the mode is off for good, as it is by default in every Go program. It
// replaces no algorithm: those are the standard library's own.
package fips140

import "errors"

// Enabled tells that the mode is off.
const Enabled = false

// CAST runs no self-test of an algorithm, as the standard library while the mode is off.
func CAST(string, func() error) {}

// PCT runs no test of a pair of keys, as the standard library while the mode is off.
func PCT(string, func() error) {}

// RecordApproved records nothing: without the mode nobody asks.
func RecordApproved() {}

// RecordNonApproved records nothing.
func RecordNonApproved() {}

// ResetServiceIndicator has nothing to forget.
func ResetServiceIndicator() {}

// ServiceIndicator refuses to call anything approved.
func ServiceIndicator() bool { return false }

// Supported refuses the mode.
func Supported() error {
	return errors.New("FIPS 140-3 mode is not there on a board")
}

// Name is that of the standard library's module.
func Name() string { return "Go Cryptographic Module" }

// Version is that of a module that nobody has certified.
func Version() string { return "latest" }
