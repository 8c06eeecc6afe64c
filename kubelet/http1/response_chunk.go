// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// The chunked transfer coding of a response (RFC 9112, section 7.1).

func (r *ResponseReader) startChunk() {
	r.phase, r.remaining, r.digits, r.budget = phaseChunkSize, 0, 0, maxChunkLine
}

// chunkByte takes a byte of a chunk's framing. White space after the size is
// refused, as net/http does, though section 7.1.1 bids to bear it before a ';'.
func (r *ResponseReader) chunkByte(c byte) error {
	switch {
	case r.phase == phaseChunkSize:
		return r.chunkSizeByte(c)
	case r.phase == phaseChunkExtension && c == '\r':
		r.phase = phaseChunkSizeLF
	case r.phase == phaseChunkExtension && classes[c]&valueChar != 0:
	case r.phase == phaseChunkSizeLF && c == '\n':
		r.endChunkLine()
	case r.phase == phaseChunkCR && c == '\r':
		r.phase = phaseChunkLF
	case r.phase == phaseChunkLF && c == '\n':
		r.startChunk()
	default:
		return ErrChunk
	}
	return nil
}

func (r *ResponseReader) chunkSizeByte(c byte) error {
	digit, ok := hexDigit(c)
	switch {
	case ok && (r.digits == 8 || r.remaining >= 1<<27): // 2 GiB or more
		return ErrChunk
	case ok:
		r.remaining = r.remaining<<4 | int(digit)
		r.digits++
	case r.digits == 0:
		return ErrChunk
	case c == '\r':
		r.phase = phaseChunkSizeLF
	case c == ';':
		r.phase = phaseChunkExtension
	default:
		return ErrChunk
	}
	return nil
}

// endChunkLine goes on to the data or, after the last chunk, to the trailer.
func (r *ResponseReader) endChunkLine() {
	if r.remaining > 0 {
		r.phase = phaseChunkData
		r.budget = maxChunkLine // of the line after the data
		return
	}
	r.phase, r.budget = phaseTrailer, maxTrailer
	r.fields.state = atLine
}
