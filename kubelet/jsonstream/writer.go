// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream

import (
	"strconv"
	"unicode/utf8"
)

const maxWriterDepth = 16

// Writer appends one JSON value to a fixed buffer and inserts commas and
// colons itself. At the first error it stops writing: check Err once, at the
// end. The zero value has no room; give it a buffer with Reset.
type Writer struct {
	buf     []byte
	err     error
	objects uint32 // bit i: the container opened at depth i is an object
	depth   uint8
	place   place
	// scratch keeps short texts out of the heap where escape analysis is weak.
	scratch [ScratchSize]byte
}

// ScratchSize is the room of Scratch in bytes: for a number, or a MicroTime.
const ScratchSize = len("2006-01-02T15:04:05.000000Z")

// place is the position of a Writer within the innermost open container.
type place uint8

const (
	atStart    place = iota // nothing was written yet
	afterKey                // the value of a member is due
	afterValue              // a value was written
	inText                  // between BeginString and EndString
)

// Reset starts a new value in buf[:0], with room up to cap(buf).
func (w *Writer) Reset(buf []byte) { *w = Writer{buf: buf[:0]} }

// Bytes returns what was written; it is JSON only if Err returns nil.
func (w *Writer) Bytes() []byte { return w.buf }

// Len returns the number of bytes written.
func (w *Writer) Len() int { return len(w.buf) }

// Scratch returns an empty slice with room for ScratchSize bytes, to make the text
// of the next value in; a number overwrites it.
func (w *Writer) Scratch() []byte { return w.scratch[:0] }

// Err returns nil if Bytes is one whole JSON value, ErrIncomplete if more has
// to be written, and otherwise the first error, ErrFull or ErrNesting.
func (w *Writer) Err() error {
	if w.err == nil && (w.depth > 0 || w.place != afterValue) {
		return ErrIncomplete
	}
	return w.err
}

// BeginObject opens an object; containers nest at most 16 deep.
func (w *Writer) BeginObject() { w.open('{', 1) }

// EndObject closes the innermost container, an object.
func (w *Writer) EndObject() { w.close('}', true) }

// BeginArray opens an array; containers nest at most 16 deep.
func (w *Writer) BeginArray() { w.open('[', 0) }

// EndArray closes the innermost container, an array.
func (w *Writer) EndArray() { w.close(']', false) }

// Key writes the name of the next member, escaped like String.
func (w *Writer) Key(k string) {
	if !w.inObject() || w.place == afterKey || w.place == inText {
		w.fail(ErrNesting)
		return
	}
	w.comma()
	w.putByte('"')
	escape(w, k)
	put(w, `":`)
	w.place = afterKey
}

// String writes s as a string. Invalid UTF-8 becomes U+FFFD, one for each byte.
func (w *Writer) String(s string) {
	w.startValue()
	w.putByte('"')
	escape(w, s)
	w.putByte('"')
}

// StringBytes is String for bytes.
func (w *Writer) StringBytes(b []byte) {
	w.startValue()
	w.putByte('"')
	escape(w, b)
	w.putByte('"')
}

// Int writes v as a number.
func (w *Writer) Int(v int64) {
	w.startValue()
	put(w, strconv.AppendInt(w.scratch[:0], v, 10))
}

// Uint writes v as a number.
func (w *Writer) Uint(v uint64) {
	w.startValue()
	put(w, strconv.AppendUint(w.scratch[:0], v, 10))
}

// Bool writes true or false.
func (w *Writer) Bool(v bool) {
	w.startValue()
	if v {
		put(w, "true")
	} else {
		put(w, "false")
	}
}

// Null writes null.
func (w *Writer) Null() {
	w.startValue()
	put(w, "null")
}

// Raw writes s as it is: it must be one valid JSON value, which is not checked
// beyond its not being empty.
func (w *Writer) Raw(s string) {
	if s == "" {
		w.fail(ErrNesting)
	}
	w.startValue()
	put(w, s)
}

// StringMember writes a key and a string.
func (w *Writer) StringMember(k, v string) {
	w.Key(k)
	w.String(v)
}

// BytesMember writes a key and a string given as bytes.
func (w *Writer) BytesMember(k string, v []byte) {
	w.Key(k)
	w.StringBytes(v)
}

// IntMember writes a key and a number.
func (w *Writer) IntMember(k string, v int64) {
	w.Key(k)
	w.Int(v)
}

// UintMember writes a key and a number.
func (w *Writer) UintMember(k string, v uint64) {
	w.Key(k)
	w.Uint(v)
}

// BoolMember writes a key and a boolean.
func (w *Writer) BoolMember(k string, v bool) {
	w.Key(k)
	w.Bool(v)
}

// BeginString starts a string that is given by parts, with AppendText and
// AppendTextString, and ended by EndString.
func (w *Writer) BeginString() {
	w.startValue()
	w.putByte('"')
	w.place = inText
}

// AppendText adds b to the string begun. Each part is escaped by itself, so a
// UTF-8 sequence must not be cut in two.
func (w *Writer) AppendText(b []byte) {
	if w.place != inText {
		w.fail(ErrNesting)
	}
	escape(w, b)
}

// AppendTextString is AppendText for a string.
func (w *Writer) AppendTextString(s string) {
	if w.place != inText {
		w.fail(ErrNesting)
	}
	escape(w, s)
}

// EndString ends the string begun by BeginString.
func (w *Writer) EndString() {
	if w.place != inText {
		w.fail(ErrNesting)
	}
	w.putByte('"')
	w.place = afterValue
}

func (w *Writer) inObject() bool {
	return w.depth > 0 && w.objects>>(w.depth-1)&1 == 1
}

func (w *Writer) open(bracket byte, object uint32) {
	w.startValue()
	if w.depth == maxWriterDepth {
		w.fail(ErrNesting)
		return
	}
	w.putByte(bracket)
	w.objects = w.objects&^(1<<w.depth) | object<<w.depth
	w.depth++
	w.place = atStart
}

func (w *Writer) close(bracket byte, object bool) {
	if w.depth == 0 || w.inObject() != object || w.place == afterKey || w.place == inText {
		w.fail(ErrNesting)
		return
	}
	w.putByte(bracket)
	w.depth--
	w.place = afterValue
}

// startValue checks that a value is due here, and separates it from the last.
func (w *Writer) startValue() {
	switch {
	case w.place == inText,
		w.inObject() && w.place != afterKey,
		w.depth == 0 && w.place != atStart:
		w.fail(ErrNesting)
	default:
		w.comma()
		w.place = afterValue
	}
}

func (w *Writer) comma() {
	if w.place == afterValue {
		w.putByte(',')
	}
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *Writer) putByte(c byte) {
	if w.err == nil && len(w.buf) == cap(w.buf) {
		w.err = ErrFull
	}
	if w.err == nil {
		w.buf = append(w.buf, c)
	}
}

// put appends text as it is, whole or not at all.
func put[T string | []byte](w *Writer, text T) {
	if w.err == nil && len(text) > cap(w.buf)-len(w.buf) {
		w.err = ErrFull
	}
	if w.err == nil {
		w.buf = append(w.buf, text...)
	}
}

// escape appends text as the inside of a string (RFC 8259, section 7).
func escape[T string | []byte](w *Writer, text T) {
	done := 0 // bytes of text already written
	for i := 0; i < len(text); {
		size, plain := plainLen(text, i)
		if !plain {
			put(w, text[done:i])
			w.putEscape(text[i])
			done = i + size
		}
		i += size
	}
	put(w, text[done:])
}

// plainLen returns the size of the character at text[i], and whether it may
// stand in a string as it is.
func plainLen[T string | []byte](text T, i int) (size int, plain bool) {
	c := text[i]
	if c < utf8.RuneSelf {
		return 1, c >= ' ' && c != '"' && c != '\\'
	}
	var window [utf8.UTFMax]byte
	n := copy(window[:], text[i:])
	_, size = utf8.DecodeRune(window[:n])
	return size, size > 1 // size 1 is an invalid sequence
}

// putEscape writes the escape of an ASCII character, or U+FFFD for a byte that
// is no UTF-8.
func (w *Writer) putEscape(c byte) {
	switch {
	case c >= utf8.RuneSelf:
		put(w, "\uFFFD")
	case c == '"':
		put(w, `\"`)
	case c == '\\':
		put(w, `\\`)
	case c == '\n':
		put(w, `\n`)
	case c == '\r':
		put(w, `\r`)
	case c == '\t':
		put(w, `\t`)
	default:
		const hex = "0123456789abcdef"
		put(w, `\u00`)
		w.putByte(hex[c>>4])
		w.putByte(hex[c&15])
	}
}
