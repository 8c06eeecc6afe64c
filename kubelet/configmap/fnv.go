// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

// fnv is a running FNV-1a hash of 64 bits (RFC 9923). It finds changes and
// torn records, not attackers. Unlike hash/crc32 it needs no table, which
// would cost a board 8 KB of RAM, and unlike hash/fnv no heap.
type fnv uint64

func newFNV() fnv { return 0xcbf29ce484222325 }

func (h fnv) byte(c byte) fnv { return (h ^ fnv(c)) * 0x100000001b3 }

func (h fnv) bytes(p []byte) fnv {
	for _, c := range p {
		h = h.byte(c)
	}
	return h
}

// uint hashes v as eight bytes, the lowest first.
func (h fnv) uint(v uint64) fnv {
	for range 8 {
		h = h.byte(byte(v))
		v >>= 8
	}
	return h
}

// string hashes s and its end, so that two strings cannot run together.
func (h fnv) string(s string) fnv {
	for i := range len(s) {
		h = h.byte(s[i])
	}
	return h.byte(0)
}
