// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

const (
	chunkHead = len("fff\r\n")
	chunkTail = len("\r\n")
	maxSealed = 0xfff
)

// LastChunk is the end of a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// ChunkBody returns the part of buf, up to its capacity, in which the data of a
// chunk is to be written before SealChunk: empty, with room for at most 4095
// bytes. It takes 7 bytes around the data.
func ChunkBody(buf []byte) []byte {
	room := min(cap(buf)-chunkHead-chunkTail, maxSealed)
	if room <= 0 {
		return nil
	}
	return buf[:cap(buf)][chunkHead : chunkHead : chunkHead+room]
}

// SealChunk puts the framing around the n bytes written to ChunkBody(buf) and
// returns the chunk, which is the front of buf; nothing if n is 0, because an
// empty chunk would be the last. ErrFull means that n is larger than that room.
func SealChunk(buf []byte, n int) ([]byte, error) {
	switch {
	case n == 0:
		return buf[:0], nil
	case n < 0 || n > cap(ChunkBody(buf)):
		return buf[:0], ErrFull
	}
	a := appender{buf: buf[:0]}
	a.hex(n, 3)
	add(&a, "\r\n")
	a.buf = a.buf[:chunkHead+n]
	add(&a, "\r\n")
	return a.done(buf[:0])
}
