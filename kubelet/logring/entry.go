// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package logring

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/kubelet/wallclock"
)

// Entry is a record as read from a Ring.
type Entry struct {
	Seq   uint64        // 1 for the first record since boot
	At    time.Duration // since boot
	Unix  int64         // wall clock in microseconds since 1970; 0: not known
	Level Level
	Text  []byte // msg="…" key=value …; valid until the next Begin or Configure
}

// AppendText appends the record as one line without the line break: the time
// by RFC 3339 in UTC, or seconds since boot as +12.345s while the wall clock is
// not known, then level and text.
func (e Entry) AppendText(dst []byte) []byte {
	if e.Unix != 0 {
		dst = wallclock.AppendMicroTime(dst, e.Unix)
	} else {
		dst = appendUptime(dst, e.At)
	}
	dst = append(dst, ' ')
	dst = append(dst, e.Level.String()...)
	dst = append(dst, ' ')
	return append(dst, e.Text...)
}

// appendUptime appends a time since boot in milliseconds, as +12.345s.
func appendUptime(dst []byte, at time.Duration) []byte {
	ms := uint64(max(at, 0) / time.Millisecond)
	dst = append(dst, '+')
	dst = strconv.AppendUint(dst, ms/1000, 10)
	dst = append(dst, '.')
	dst = appendDigits(dst, ms%1000, 3)
	return append(dst, 's')
}

// appendSeconds appends a duration in seconds without trailing zeros, as
// 2.5s: unlike Duration.String it needs no memory.
func appendSeconds(dst []byte, d time.Duration) []byte {
	n := uint64(d)
	if d < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = strconv.AppendUint(dst, n/uint64(time.Second), 10)
	if frac := n % uint64(time.Second); frac != 0 {
		digits := 9
		for ; frac%10 == 0; frac /= 10 {
			digits--
		}
		dst = appendDigits(append(dst, '.'), frac, digits)
	}
	return append(dst, 's')
}

// appendDigits appends n with leading zeros to the given number of digits.
func appendDigits(dst []byte, n uint64, digits int) []byte {
	unit := uint64(1)
	for range digits - 1 {
		unit *= 10
	}
	for ; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+n/unit%10))
	}
	return dst
}
