// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"strconv"

	"github.com/picolet/picolet/kubelet/jsonstream"
)

// Response takes the body of a response, or of one part of it, into a fixed
// buffer. What does not fit is dropped and remembered; writers need not check,
// because the server asks again with more room or answers 500.
type Response struct {
	Status      int    // 200 unless set; not 1xx, 204, 205 or 304
	ContentType string // the route's unless set; at most 100 bytes of printable ASCII

	buf      []byte
	n        int
	base     int // of n: where the part that is being written begins
	overflow bool
	digits   [20]byte // of a number, kept out of the heap
	json     jsonstream.Writer
	jsonOpen bool // json stands behind buf[:n] and is not yet counted in n
}

// String appends s.
func (w *Response) String(s string) {
	if w.room(len(s)) {
		w.n += copy(w.buf[w.n:], s)
	}
}

// Bytes appends p.
func (w *Response) Bytes(p []byte) {
	if w.room(len(p)) {
		w.n += copy(w.buf[w.n:], p)
	}
}

// Byte appends one byte.
func (w *Response) Byte(b byte) {
	if w.room(1) {
		w.buf[w.n] = b
		w.n++
	}
}

// Uint appends v in decimal.
func (w *Response) Uint(v uint64) {
	w.Bytes(strconv.AppendUint(w.digits[:0], v, 10))
}

// Int appends v in decimal.
func (w *Response) Int(v int64) {
	w.Bytes(strconv.AppendInt(w.digits[:0], v, 10))
}

// Decimal appends v/10^places with exactly that many places, at most 18:
// Decimal(21500, 3) appends 21.500. It is for values counted in thousandths or
// nanoseconds, which then need no floating point.
func (w *Response) Decimal(v int64, places int) {
	u := uint64(v)
	if v < 0 {
		w.Byte('-')
		u = -u
	}
	unit := uint64(1)
	for range min(max(places, 0), 18) {
		unit *= 10
	}
	w.Uint(u / unit)
	if unit == 1 {
		return
	}
	w.Byte('.')
	for rest := u % unit; unit > 1; rest %= unit {
		unit /= 10
		w.Byte('0' + byte(rest/unit))
	}
}

// JSON hands out a writer on the rest of the buffer, for one whole JSON value.
// It may be used until the next call of another method of w, or until the
// handler returns. A value left incomplete counts as one that did not fit.
func (w *Response) JSON() *jsonstream.Writer {
	w.settle()
	w.json.Reset(w.buf[w.n:len(w.buf):len(w.buf)])
	w.jsonOpen = true
	return &w.json
}

// Rest returns an empty slice with the rest of the buffer as its capacity, for
// functions that append: w.Extend(pin.AppendText(w.Rest())).
func (w *Response) Rest() []byte {
	w.settle()
	return w.buf[w.n:w.n:len(w.buf)]
}

// Extend takes what was appended to Rest.
func (w *Response) Extend(b []byte) {
	w.Bytes(b) // onto itself, unless append outgrew the buffer
}

// Reserve tells whether n more bytes fit. If not, the part counts as one that
// does not fit, as if they had been written.
func (w *Response) Reserve(n int) bool { return w.room(n) }

// Len returns the number of bytes in the response, with the parts before this
// one that are still in the buffer.
func (w *Response) Len() int {
	w.settle()
	return w.n
}

// Overflowed tells whether something did not fit.
func (w *Response) Overflowed() bool {
	w.settle()
	return w.overflow
}

func (w *Response) room(n int) bool {
	w.settle()
	if w.overflow || n > len(w.buf)-w.n {
		w.overflow = true
		return false
	}
	return true
}

// settle counts what was written through JSON.
func (w *Response) settle() {
	if !w.jsonOpen {
		return
	}
	w.jsonOpen = false
	if w.json.Err() != nil {
		w.overflow = true
		return
	}
	w.n += w.json.Len()
}

// reset points w to an empty buffer.
func (w *Response) reset(buf []byte) {
	w.buf, w.base = buf, 0
	w.rewind()
}

// rewind takes back what the part that is being written has appended.
func (w *Response) rewind() {
	w.n, w.overflow, w.jsonOpen = w.base, false, false
}

// sendable tells whether a handler left w fit to be sent. Codes that say
// something about framing are not for handlers to give.
func (w *Response) sendable() bool {
	return !w.Overflowed() && w.Status >= 200 && w.Status <= 599 &&
		w.Status != 204 && w.Status != 205 && w.Status != 304 &&
		validContentType(w.ContentType)
}
