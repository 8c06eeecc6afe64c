// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream

func (s *Scanner) startNumber(c byte) (Kind, int) {
	switch {
	case c == '-':
		s.state = inMinus
	case c == '0':
		s.state = inZero
	case c >= '1' && c <= '9':
		s.state = inInt
	default:
		return s.fail(ErrSyntax)
	}
	s.text[0], s.length = c, 1
	return NeedMore, 1
}

// stepNumber takes a byte of the number, or leaves alone the one that ends it.
func (s *Scanner) stepNumber(c byte) (Kind, int) {
	next := nextInNumber(s.state, c)
	switch {
	case next == noNumber:
		return s.fail(ErrSyntax)
	case next == endOfNumber && s.depth == 0 && c != ' ' && c != '\t' && c != '\n' && c != '\r':
		return s.fail(ErrSyntax)
	case next == endOfNumber:
		return s.value(Number), 0
	case s.length == PartSize:
		return s.fail(ErrNumber)
	}
	s.text[s.length] = c
	s.length++
	s.state = next
	return NeedMore, 1
}

// nextInNumber is the grammar of numbers (RFC 8259, section 6).
func nextInNumber(now state, c byte) state {
	digit := c >= '0' && c <= '9'
	switch {
	case now == inMinus && c == '0':
		return inZero
	case now == inMinus && digit:
		return inInt
	case now == inPoint && digit:
		return inFrac
	case now == inE && (c == '+' || c == '-'):
		return inExpSign
	case (now == inE || now == inExpSign) && digit:
		return inExp
	case now == inMinus || now == inPoint || now == inE || now == inExpSign:
		return noNumber
	case now != inZero && digit:
		return now
	case c == '.' && (now == inZero || now == inInt):
		return inPoint
	case (c == 'e' || c == 'E') && now != inExp:
		return inE
	}
	return endOfNumber
}
