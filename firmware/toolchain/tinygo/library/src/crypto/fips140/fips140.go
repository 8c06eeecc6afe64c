// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fips140 stands in for the standard library's package of this name, by
// which a program asks for the mode of operation that FIPS 140-3 wants.
//
// It fills a gap of TinyGo's linker, which keeps what reads GODEBUG, with the
// table of all its settings, 5 KB of flash, although nobody can set it on a board.
// Here the mode is off, and refuses to be turned on: see the stand-in of package
// crypto/internal/fips140.
package fips140

// Enabled tells that the mode is off.
func Enabled() bool { return false }

// Enforced tells that nothing is forbidden.
func Enforced() bool { return false }

// WithoutEnforcement calls f.
func WithoutEnforcement(f func()) { f() }

// Version is that of a module that nobody has certified.
func Version() string { return "latest" }
