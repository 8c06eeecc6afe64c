// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// percentDecode returns the byte that s[i:] starts with, decoded, and where the
// next one starts; not ok if a '%' is not followed by two hexadecimal digits.
func percentDecode[T text](s T, i int) (c byte, next int, ok bool) {
	if s[i] != '%' {
		return s[i], i + 1, true
	}
	if len(s)-i < 3 {
		return 0, 0, false
	}
	high, ok1 := hexDigit(s[i+1])
	low, ok2 := hexDigit(s[i+2])
	return high<<4 | low, i + 3, ok1 && ok2
}

// validPath reports whether path is absolute and means the same to whoever reads
// it, decoded or not: no dot segments, no encoded slash, backslash or control byte.
func validPath[T text](path T) bool {
	if len(path) == 0 || path[0] != '/' || !isAll(path, pathChar) {
		return false
	}
	dots, segment := 0, 0 // dots and characters of this segment
	for i := 0; i < len(path); {
		c, next, ok := percentDecode(path, i)
		encoded := next != i+1
		switch {
		case !ok, encoded && (c == '/' || c == '\\' || c < ' ' || c == 0x7f):
			return false
		case c == '/' && isDotSegment(dots, segment):
			return false
		case c == '/':
			dots, segment = 0, 0
		case c == '.':
			dots, segment = dots+1, segment+1
		default:
			segment++
		}
		i = next
	}
	return !isDotSegment(dots, segment)
}

func isDotSegment(dots, length int) bool {
	return dots == length && (dots == 1 || dots == 2)
}

// QueryValue decodes the first parameter of that name into dst[:0], as in
// application/x-www-form-urlencoded: "%XX" and '+' for a space. It is not ok if
// there is none, if its encoding is wrong, or if it does not fit into cap(dst).
// The value may hold any byte.
func QueryValue(dst, query []byte, name string) (v []byte, ok bool) {
	for {
		pair := query
		end := indexByte(query, '&')
		if end >= 0 {
			pair = query[:end]
		}
		if value, found := cutName(pair, name); found {
			return formDecode(dst[:0], value)
		}
		if end < 0 {
			return nil, false
		}
		query = query[end+1:]
	}
}

// cutName returns what follows the name and its '=' in a parameter.
func cutName(pair []byte, name string) (value []byte, found bool) {
	key := pair
	if eq := indexByte(pair, '='); eq >= 0 {
		key, value = pair[:eq], pair[eq+1:]
	}
	matched := 0
	for i := 0; i < len(key); matched++ {
		c, next, ok := formByte(key, i)
		if !ok || matched == len(name) || c != name[matched] {
			return nil, false
		}
		i = next
	}
	return value, matched == len(name) && len(pair) > 0
}

func formDecode(dst, value []byte) ([]byte, bool) {
	for i := 0; i < len(value); {
		c, next, ok := formByte(value, i)
		if !ok || len(dst) == cap(dst) {
			return nil, false
		}
		dst = append(dst, c)
		i = next
	}
	return dst, true
}

func formByte(s []byte, i int) (c byte, next int, ok bool) {
	if s[i] == '+' {
		return ' ', i + 1, true
	}
	return percentDecode(s, i)
}
