// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fips140only stands in for the standard library's package of this name,
// by which algorithms ask whether only what FIPS 140-3 approves may be used.
//
// It fills a gap of TinyGo's linker, which keeps all hashes that the standard
// library's package compares with, although a board cannot turn the mode on: see
// the stand-in of package fips140. Here nothing is forbidden, and nothing is
// called approved.
package fips140only

import (
	"hash"
	"io"
)

// Enforced tells that the mode is off.
func Enforced() bool { return false }

// ApprovedHash refuses to call a hash approved. Nobody asks while the mode is off.
func ApprovedHash(hash.Hash) bool { return false }

// ApprovedRandomReader refuses to call a source of random bytes approved.
func ApprovedRandomReader(io.Reader) bool { return false }
