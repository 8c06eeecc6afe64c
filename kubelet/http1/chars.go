// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// text is what the helpers below read. They compare byte by byte because a
// conversion between string and []byte may allocate where the compiler is small.
type text interface{ ~string | ~[]byte }

// class is a set of the roles that a byte may play.
type class uint8

const (
	tokenChar class = 1 << iota // RFC 9110, section 5.6.2
	valueChar                   // in a field value: visible, obs-text, SP, HTAB
	pathChar                    // RFC 3986, section 3.3, with '/' and '%'
	queryChar                   // pathChar, '?', and what browsers leave as it is
	hostChar                    // RFC 3986, section 3.2.2, with a port
)

var classes = func() (table [256]class) {
	const (
		alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		subDelims    = "!$&'()*+,;="
	)
	mark := func(c class, chars string) {
		for i := range len(chars) {
			table[chars[i]] |= c
		}
	}
	mark(tokenChar|pathChar|queryChar|hostChar, alphanumeric)
	mark(tokenChar, "!#$%&'*+-.^_`|~")
	mark(pathChar|queryChar|hostChar, "-._~%:"+subDelims)
	mark(pathChar|queryChar, "@/")
	mark(queryChar, "?[]{}|^`\\")
	mark(hostChar, "[]")
	table['\t'] |= valueChar
	for c := ' '; c < 256; c++ {
		if c != 0x7f {
			table[c] |= valueChar
		}
	}
	return table
}()

func isAll[T text](s T, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

func equal[A, B text](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// equalFold is equal without regard to the case of ASCII letters.
func equalFold[A, B text](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// trimSpace removes optional white space (RFC 9110, section 5.6.3).
func trimSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// indexByte returns the position of c in s, or -1.
func indexByte[T text](s T, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// listHas reports whether a comma-separated list has the member, in any case.
func listHas(list []byte, member string) bool {
	for {
		comma := indexByte(list, ',')
		if comma < 0 {
			return equalFold(trimSpace(list), member)
		}
		if equalFold(trimSpace(list[:comma]), member) {
			return true
		}
		list = list[comma+1:]
	}
}

// parseDecimal returns the value of 1 to 9 digits and nothing else.
func parseDecimal(s []byte) (v int, ok bool) {
	if len(s) == 0 || len(s) > 9 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// hexDigit returns the value of a hexadecimal digit.
func hexDigit(c byte) (v byte, ok bool) {
	switch c = lower(c); {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
