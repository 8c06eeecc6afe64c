// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package logring

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/kubelet/quote"
)

// The mark at the end of a record that was cut, and the bytes that every
// record keeps free for it and a quote or space beside it.
const (
	cutMark  = "…"
	cutSpace = len(cutMark) + 1
)

// Record is a record being written. Its methods add a field each and return
// the record; on a nil Record, or after End, they do nothing. A record that
// grows beyond MaxText bytes is cut and marked by "…" at the end: text in the
// middle of the value, a number as a whole.
//
// Characters of a key other than letters, digits and -._/ become "_".
type Record struct {
	ring  *Ring // nil: closed
	n     int   // bytes of text so far
	limit int   // most bytes of text
	cut   bool

	scratch [24]byte // a number or a character, kept out of the heap
}

// Str adds a text field. The value is quoted where logfmt needs it.
func (rec *Record) Str(key, value string) *Record {
	if rec.key(key) {
		addValue(rec, value)
	}
	return rec
}

// Bytes adds a text field from bytes, without converting them to a string.
func (rec *Record) Bytes(key string, v []byte) *Record {
	if rec.key(key) {
		addValue(rec, v)
	}
	return rec
}

// Int adds an integer.
func (rec *Record) Int(key string, v int64) *Record {
	if rec == nil {
		return nil
	}
	return rec.number(key, strconv.AppendInt(rec.scratch[:0], v, 10))
}

// Dur adds a duration in seconds, such as 2.5s.
func (rec *Record) Dur(key string, v time.Duration) *Record {
	if rec == nil {
		return nil
	}
	return rec.number(key, appendSeconds(rec.scratch[:0], v))
}

// Err adds the text of an error as the field err, and nothing for a nil
// error.
func (rec *Record) Err(err error) *Record {
	if err == nil || !rec.writable() {
		return rec
	}
	return rec.Str("err", err.Error())
}

// End completes the record: from now on it can be read.
func (rec *Record) End() {
	if rec == nil || rec.ring == nil {
		return
	}
	rec.ring.commit(rec.n)
	*rec = Record{}
}

func (rec *Record) writable() bool { return rec != nil && rec.ring != nil && !rec.cut }

// message begins the text. The message is always quoted.
func (rec *Record) message(msg string) {
	add(rec, `msg=`)
	addQuoted(rec, msg)
}

// key begins a field and tells whether its value can follow.
func (rec *Record) key(key string) bool {
	if !rec.writable() {
		return false
	}
	if !rec.fits(len(" =") + max(len(key), 1)) {
		rec.truncate(" ")
		return false
	}
	add(rec, " ")
	start := rec.n
	add(rec, key)
	if key == "" {
		add(rec, "_")
	}
	for i, c := range rec.text()[start:] {
		if !isKey(c) {
			rec.text()[start+i] = '_'
		}
	}
	add(rec, "=")
	return true
}

// number adds a field that is kept whole or left out.
func (rec *Record) number(key string, digits []byte) *Record {
	if !rec.writable() {
		return rec
	}
	if !rec.fits(len(" =") + max(len(key), 1) + len(digits)) {
		rec.truncate(" ")
		return rec
	}
	rec.key(key)
	add(rec, digits)
	return rec
}

// addValue adds a value, quoted if it must be.
func addValue[T string | []byte](rec *Record, v T) {
	if !isBare(v) {
		addQuoted(rec, v)
		return
	}
	whole := min(len(v), rec.limit-cutSpace-rec.n)
	add(rec, v[:whole])
	if whole < len(v) {
		rec.truncate("")
	}
}

// addQuoted adds a value in quotes, escaped as Go strings are.
func addQuoted[T string | []byte](rec *Record, v T) {
	if !rec.fits(len(`""`)) {
		rec.truncate("")
		return
	}
	add(rec, `"`)
	for i := 0; i < len(v); {
		p, size := quote.AppendChar(rec.scratch[:0], v[i:])
		if !rec.fits(len(p) + len(`"`)) {
			rec.truncate("")
			add(rec, `"`)
			return
		}
		add(rec, p)
		i += size
	}
	add(rec, `"`)
}

// fits tells whether n bytes more leave space for the mark of a cut.
func (rec *Record) fits(n int) bool { return rec.n+n+cutSpace <= rec.limit }

// truncate ends the text by sep and the mark of a cut.
func (rec *Record) truncate(sep string) {
	rec.cut = true
	add(rec, sep)
	add(rec, cutMark)
}

// add appends to the text what is known to fit.
func add[T string | []byte](rec *Record, s T) {
	r, used := rec.ring, headerSize+rec.n
	r.makeRoom(used+len(s), used)
	copy(r.buf[r.head+used:], s)
	rec.n += len(s)
}

func (rec *Record) text() []byte {
	start := rec.ring.head + headerSize
	return rec.ring.buf[start : start+rec.n]
}

// isKey tells whether c may stand in a key.
func isKey(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '-' <= c && c <= '9' || c == '_'
}

// isBare tells whether a value needs no quotes.
func isBare[T string | []byte](v T) bool {
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return len(v) > 0
}
