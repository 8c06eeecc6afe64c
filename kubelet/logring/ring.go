// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package logring keeps the newest records of a structured log in a buffer
// that the caller gives. A record is one line of logfmt text with a level, a
// time and a sequence number, so that readers can follow it from a cursor.
//
// Whatever a value holds, it stays inside its record: quotes, line breaks,
// control characters and invalid UTF-8 are escaped. The package writes to no
// file and no wire, allocates nothing, and never waits for a reader: the
// oldest records give way.
package logring

import (
	"encoding/binary"
	"time"
)

// Level is the severity of a record.
type Level uint8

// The levels, in increasing order.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

var levelNames = [...]string{"DEBUG", "INFO", "WARN", "ERROR"}

// String returns DEBUG, INFO, WARN or ERROR.
func (l Level) String() string { return levelNames[min(l, Error)] }

// MaxText is the most bytes of text that a record keeps.
const MaxText = 256

// Layout of a record in the buffer: length of the text, level, time since
// boot in nanoseconds, wall clock in microseconds, text.
const (
	offLevel   = 2
	offAt      = 3
	offUnix    = 11
	headerSize = 19
)

// MinBuffer is the smallest buffer that keeps a record, with 16 bytes of text.
const MinBuffer = headerSize + 16

// Ring is a log of bounded size. Its zero value has no buffer: it counts
// records and keeps none. A Ring must not be copied after its first use, and
// is not safe for concurrent use.
//
// A record never wraps around the end of the buffer. The records lie in
// [tail, head), or, while tail >= head, in [tail, end) and [0, head).
type Ring struct {
	MinLevel Level // Optional [Debug]: records below it are not kept and not counted

	buf             []byte
	tail, head, end int
	kept            int    // records in buf
	last            uint64 // sequence number of the newest record
	dropped         uint64
	counts          [len(levelNames)]uint64
	rec             Record
}

// Configure empties the ring and gives it the buffer to keep records in, at
// least MinBuffer bytes. The ring owns buf from then on. Sequence numbers
// and counters go on.
func (r *Ring) Configure(buf []byte) {
	r.dropped += uint64(r.kept)
	r.buf, r.tail, r.head, r.kept = buf, 0, 0, 0
	r.rec = Record{}
}

// Begin starts a record; at is the time since boot, unix the wall clock in
// microseconds since 1970, 0 if it is not known yet. Fields follow by the
// methods of Record, which must end with End: until then the record cannot
// be read. A record that is still open is ended first.
func (r *Ring) Begin(at time.Duration, unix int64, l Level, msg string) *Record {
	r.rec.End()
	l = min(l, Error)
	if l < r.MinLevel {
		return nil
	}
	if len(r.buf) < MinBuffer {
		r.last++
		r.counts[l]++
		r.dropped++
		return nil
	}
	r.makeRoom(headerSize, 0)
	h := r.buf[r.head:]
	h[offLevel] = byte(l)
	binary.LittleEndian.PutUint64(h[offAt:], uint64(at))
	binary.LittleEndian.PutUint64(h[offUnix:], uint64(unix))
	r.rec = Record{ring: r, limit: min(MaxText, len(r.buf)-headerSize)}
	r.rec.message(msg)
	return &r.rec
}

// commit makes the open record with n bytes of text readable.
func (r *Ring) commit(n int) {
	if r.kept == 0 {
		r.tail = r.head
	}
	h := r.buf[r.head:]
	binary.LittleEndian.PutUint16(h, uint16(n))
	r.counts[h[offLevel]]++
	r.head += headerSize + n
	r.kept++
	r.last++
}

// wrapped tells whether the oldest records lie above the newest.
func (r *Ring) wrapped() bool { return r.kept > 0 && r.tail >= r.head }

// room returns how many bytes are free from head on.
func (r *Ring) room() int {
	if r.wrapped() {
		return r.tail - r.head
	}
	return len(r.buf) - r.head
}

// makeRoom frees n bytes from head on, at the cost of the oldest records. If
// that needs a move to the front of the buffer, the first used bytes, the
// open record, come along. n is at most len(r.buf).
func (r *Ring) makeRoom(n, used int) {
	for r.room() < n {
		switch {
		case r.wrapped():
			r.evict()
		case r.kept > 0 && r.tail < n:
			r.evict()
		default:
			copy(r.buf, r.buf[r.head:r.head+used])
			r.end, r.head = r.head, 0
		}
	}
}

// evict forgets the oldest record.
func (r *Ring) evict() {
	wrapped := r.wrapped()
	r.tail += r.sizeAt(r.tail)
	r.kept--
	r.dropped++
	if wrapped && r.tail == r.end {
		r.tail = 0
	}
}

// sizeAt returns the bytes that the record at offset takes.
func (r *Ring) sizeAt(offset int) int {
	return headerSize + int(binary.LittleEndian.Uint16(r.buf[offset:]))
}

// First returns the sequence number of the oldest record that is still
// there, Last()+1 if there is none. A reader with a cursor below First()-1
// has missed the records in between.
func (r *Ring) First() uint64 { return r.last - uint64(r.kept) + 1 }

// Last returns the sequence number of the newest record, 0 before the first.
func (r *Ring) Last() uint64 { return r.last }

// Counts returns how many records were written since boot, by level.
func (r *Ring) Counts() [4]uint64 { return r.counts }

// Dropped returns how many records had to give way since boot.
func (r *Ring) Dropped() uint64 { return r.dropped }

// Next returns the first record with a sequence number above cursor that is
// still there. A reader begins with 0 and goes on with Entry.Seq.
func (r *Ring) Next(cursor uint64) (Entry, bool) {
	if r.kept == 0 || cursor >= r.last {
		return Entry{}, false
	}
	seq, offset, wrapped := r.First(), r.tail, r.wrapped()
	for ; seq <= cursor; seq++ {
		offset += r.sizeAt(offset)
		if wrapped && offset == r.end {
			offset, wrapped = 0, false
		}
	}
	return r.entryAt(offset, seq), true
}

func (r *Ring) entryAt(offset int, seq uint64) Entry {
	b := r.buf[offset : offset+r.sizeAt(offset)]
	return Entry{
		Seq:   seq,
		At:    time.Duration(binary.LittleEndian.Uint64(b[offAt:])),
		Unix:  int64(binary.LittleEndian.Uint64(b[offUnix:])),
		Level: Level(b[offLevel]),
		Text:  b[headerSize:],
	}
}
