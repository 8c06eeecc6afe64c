// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rand stands in for the standard library's package of this name, which
// gives keys the random bytes of the operating system whatever source the caller
// names, unless GODEBUG says otherwise.
//
// It fills a gap of a board, which has neither: the standard library's package
// would read /dev/urandom there, and bring what reads GODEBUG, 6 KB of flash.
// Here a key is made of the caller's source alone. The default source refuses to
// give anything.
package rand

import (
	"errors"
	"io"
)

// ErrNoSource is what the default source says.
var ErrNoSource = errors.New("crypto: a board has no random bytes of its own; name a source")

// none is the default source.
type none struct{}

// Read refuses.
func (none) Read([]byte) (int, error) { return 0, ErrNoSource }

// Reader gives no random bytes: its Read returns ErrNoSource.
var Reader io.Reader = none{}

// CustomReader returns r, or Reader if there is none.
func CustomReader(r io.Reader) io.Reader {
	if r == nil {
		return Reader
	}
	return r
}

// IsDefaultReader tells whether r is Reader.
func IsDefaultReader(r io.Reader) bool {
	_, ok := r.(none)
	return ok
}
