// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

const hexDigits = "0123456789abcdef"

func appendHex(b, p []byte) []byte {
	for _, c := range p {
		b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return b
}

// appendUUID appends 16 bytes as a UUID of a version, RFC 9562 section 4.
func appendUUID(b []byte, u [16]byte, version byte) []byte {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			b = append(b, '-')
		}
		b = appendHex(b, u[[...]int{0, 4, 6, 8, 10}[i]:end])
	}
	return b
}

// systemUUID returns a UUID of version 8, whose bits are the maker's own
// (RFC 9562 section 5.8): the letters rp2040 and the flash chip's id. A board's
// never changes, and two boards' differ where their ids do.
func systemUUID(id [8]byte) string {
	u := [16]byte{'r', 'p', '2', '0', '4', '0', 0, id[0]}
	copy(u[9:], id[1:])
	return string(appendUUID(nil, u, 8))
}

// randomUUID returns a UUID of version 4, RFC 9562 section 5.4.
func randomUUID(random [16]byte) string { return string(appendUUID(nil, random, 4)) }
