// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import "github.com/picolet/picolet/kubelet/wallclock"

// appender appends to a buffer within its capacity; the first error stays.
type appender struct {
	buf []byte
	err error
}

// done returns the buffer, or dst as it was if there was an error.
func (a *appender) done(dst []byte) ([]byte, error) {
	if a.err != nil {
		return dst, a.err
	}
	return a.buf, nil
}

func (a *appender) fail(err *Error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *appender) room(n int) bool {
	if n > cap(a.buf)-len(a.buf) {
		a.fail(ErrFull)
	}
	return a.err == nil
}

func add[T text](a *appender, s T) {
	if a.room(len(s)) {
		a.buf = append(a.buf, s...)
	}
}

func (a *appender) byte(c byte) {
	if a.room(1) {
		a.buf = append(a.buf, c)
	}
}

func (a *appender) decimal(v int) {
	unit := 1
	for v/unit >= 10 {
		unit *= 10
	}
	for ; unit > 0; unit /= 10 {
		a.byte('0' + byte(v/unit%10))
	}
}

// hex writes v in at least so many digits.
func (a *appender) hex(v, digits int) {
	shift := 4 * (digits - 1)
	for v>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		a.byte("0123456789ABCDEF"[v>>shift&15])
	}
}

// field writes a field line, unless the value is empty.
func (a *appender) field(name, value string) {
	if value == "" {
		return
	}
	if !validValue(value) {
		a.fail(ErrHeader)
	}
	add(a, name)
	add(a, ": ")
	add(a, value)
	add(a, "\r\n")
}

// validValue refuses what would break out of a field line, and white space that
// the reader would drop.
func validValue(s string) bool {
	isSpace := func(c byte) bool { return c == ' ' || c == '\t' }
	return isAll(s, valueChar) && !isSpace(s[0]) && !isSpace(s[len(s)-1])
}

// dateField writes a Date field (RFC 9110, section 5.6.7), if unix has a date.
func (a *appender) dateField(unix int64) {
	const year10k = 253402300800
	if unix <= 0 || unix >= year10k {
		return
	}
	add(a, "Date: ")
	if a.room(wallclock.HTTPDateSize) {
		a.buf = wallclock.AppendHTTPDate(a.buf, unix)
	}
	add(a, "\r\n")
}

// connection says whether the connection is kept, in words for HTTP/1.0 too.
func (a *appender) connection(keep bool) {
	if keep {
		add(a, "Connection: keep-alive\r\n")
	} else {
		add(a, "Connection: close\r\n")
	}
}

// encoded writes s with all but unreserved characters percent-encoded.
func encoded[T text](a *appender, s T) {
	for i := range len(s) {
		if isUnreserved(s[i]) {
			a.byte(s[i])
		} else {
			a.byte('%')
			a.hex(int(s[i]), 2)
		}
	}
}

// isUnreserved is the class of RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	l := lower(c)
	return l >= 'a' && l <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
