// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream

import "unicode/utf8"

// stepString consumes a run of plain characters, or one other byte.
func (s *Scanner) stepString(in []byte) (Kind, int) {
	if n := s.copyPlain(in); n > 0 {
		return NeedMore, n
	}
	c := in[0]
	switch {
	case s.high != 0 && c != '\\', s.pending > 0 && c < utf8.RuneSelf:
		s.replaceUnfinished()
		return NeedMore, 0
	case c == '"':
		return s.endString(), 1
	case s.length >= PartSize:
		return s.stringKind(), 0
	case c >= utf8.RuneSelf:
		return NeedMore, s.stepUTF8(c)
	case c == '\\':
		s.state = inEscape
		return NeedMore, 1
	}
	return s.fail(ErrSyntax) // a control character
}

// copyPlain takes over the ASCII characters at the front of in that stand for
// themselves, as far as they fit into this part.
func (s *Scanner) copyPlain(in []byte) int {
	if s.high != 0 || s.pending > 0 || s.length >= PartSize {
		return 0
	}
	in = in[:min(len(in), PartSize-int(s.length))]
	n := 0
	for n < len(in) && in[n] >= ' ' && in[n] < utf8.RuneSelf && in[n] != '"' && in[n] != '\\' {
		n++
	}
	s.length += uint8(copy(s.text[s.length:], in[:n]))
	return n
}

func (s *Scanner) stringKind() Kind {
	if s.isKey {
		return Key
	}
	return String
}

func (s *Scanner) endString() Kind {
	if s.isKey {
		s.state = atColon
		return Key
	}
	return s.value(String)
}

// stepUTF8 takes a byte beyond ASCII, and returns 0 if it has to be looked at
// again because it does not continue the sequence before it.
func (s *Scanner) stepUTF8(c byte) int {
	s.text[s.length+s.pending] = c
	sequence := s.text[s.length : s.length+s.pending+1]
	if !utf8.FullRune(sequence) {
		s.pending++
		return 1
	}
	_, size := utf8.DecodeRune(sequence)
	if size < len(sequence) {
		s.replaceUnfinished()
		return 0
	}
	if size == 1 {
		s.appendRune(utf8.RuneError)
		return 1
	}
	s.length += uint8(size)
	s.pending = 0
	return 1
}

// replaceUnfinished writes U+FFFD for a lone high surrogate, or for each byte of
// an incomplete UTF-8 sequence.
func (s *Scanner) replaceUnfinished() {
	count := max(s.pending, 1)
	s.pending, s.high = 0, 0
	for range count {
		s.appendRune(utf8.RuneError)
	}
}

func (s *Scanner) appendRune(r rune) {
	s.length += uint8(utf8.EncodeRune(s.text[s.length:], r))
}

// escape takes the byte after a backslash.
func (s *Scanner) escape(c byte) bool {
	if c == 'u' {
		s.state, s.digits, s.unit = inUnicode, 0, 0
		return true
	}
	if s.high != 0 {
		s.replaceUnfinished()
	}
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	default:
		return false
	}
	s.appendRune(rune(c))
	s.state = inString
	return true
}

// unicode takes one of the four hexadecimal digits after \u.
func (s *Scanner) unicode(c byte) bool {
	switch lower := c | 0x20; {
	case c >= '0' && c <= '9':
		c -= '0'
	case lower >= 'a' && lower <= 'f':
		c = lower - 'a' + 10
	default:
		return false
	}
	s.unit = s.unit<<4 | uint16(c)
	s.digits++
	if s.digits == 4 {
		s.appendUnit(s.unit)
		s.state = inString
	}
	return true
}

// appendUnit takes a UTF-16 code unit: a high surrogate waits for its low one.
func (s *Scanner) appendUnit(unit uint16) {
	const highMark, lowMark = 0xd800 >> 10, 0xdc00 >> 10
	if s.high != 0 && unit>>10 == lowMark {
		s.appendRune(0x10000 + rune(s.high&0x3ff)<<10 + rune(unit&0x3ff))
		s.high = 0
		return
	}
	if s.high != 0 {
		s.replaceUnfinished()
	}
	if unit>>10 == highMark {
		s.high = unit
		return
	}
	s.appendRune(rune(unit)) // EncodeRune turns a lone low surrogate into U+FFFD
}
