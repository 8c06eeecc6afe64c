// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package quote writes text of any origin so that it cannot be taken for
// anything else: in quotes, with what is invisible, or could break out of them,
// escaped as in a Go string literal. strconv.Quote does the same, by tables that
// cost a board 4.7 KB of flash and 1.3 KB of RAM. It reads nothing back.
package quote

import "unicode/utf8"

// MaxChar is the most bytes that AppendChar appends.
const MaxChar = len(`\U0010ffff`)

const hex = "0123456789abcdef"

// Append appends text in quotes, at most four bytes for one of text's and two
// for the quotes.
func Append(dst, text []byte) []byte {
	dst = append(dst, '"')
	for len(text) > 0 {
		var size int
		dst, size = AppendChar(dst, text)
		text = text[size:]
	}
	return append(dst, '"')
}

// AppendChar appends the first character of text, which must not be empty, as
// it stands in quotes, and returns how many bytes of text it was.
func AppendChar[T string | []byte](dst []byte, text T) ([]byte, int) {
	if c := text[0]; c < utf8.RuneSelf {
		return appendASCII(dst, c), 1
	}
	var head [utf8.UTFMax]byte
	char, size := utf8.DecodeRune(head[:copy(head[:], text)])
	switch {
	case char == utf8.RuneError && size == 1:
		return append(dst, '\\', 'x', hex[text[0]>>4], hex[text[0]&15]), 1
	case !invisible(char):
		return append(dst, text[:size]...), size
	case char < 0x10000:
		return appendHex(append(dst, `\u`...), char, 4), size
	}
	return appendHex(append(dst, `\U`...), char, 8), size
}

func appendASCII(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	case c < ' ' || c == 0x7f:
		return append(dst, '\\', 'x', hex[c>>4], hex[c&15])
	}
	return append(dst, c)
}

// appendHex appends the last digits hexadecimal digits of char.
func appendHex(dst []byte, char rune, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hex[char>>shift&15])
	}
	return dst
}

// hidden are the ranges of characters beyond ASCII that show nothing, or change
// how others are shown: the categories Cc, Cf, Co and Z of Unicode, with what is
// not assigned between them.
var hidden = [...][2]rune{
	{0x80, 0xa0}, {0xad, 0xad}, {0x600, 0x605}, {0x61c, 0x61c}, {0x6dd, 0x6dd}, {0x70f, 0x70f}, {0x890, 0x891},
	{0x8e2, 0x8e2}, {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
	{0x3000, 0x3000}, {0xe000, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xfffe, 0xffff}, {0x110bd, 0x110bd},
	{0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe007f}, {0xf0000, 0x10ffff},
}

func invisible(char rune) bool {
	for _, r := range &hidden {
		if char <= r[1] {
			return char >= r[0]
		}
	}
	return false
}
