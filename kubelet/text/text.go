// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package text compares bytes with strings without copying them. Go's compiler
// makes no copy of string(b) for a comparison or a switch, the one for boards
// does, and package bytes compares in this way too. It holds the only unsafe
// code of the core, and does nothing else.
package text

import "unsafe"

// View is b as a string, which changes as b does: it is good for comparing and
// looking up at once, not for keeping.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// CutPrefix returns b without the prefix, and whether it had it.
func CutPrefix(b []byte, prefix string) (rest []byte, ok bool) {
	if len(b) < len(prefix) || View(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// Cut returns what stands before and after the first sep in b, and whether it
// is there; all of b and nothing otherwise.
func Cut(b []byte, sep byte) (before, after []byte, ok bool) {
	for i, c := range b {
		if c == sep {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}
