// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

// Role is an end of a link.
type Role uint8

// The two ends. The board opens the connection and speaks first.
const (
	Board Role = iota + 1
	Gateway
)

// Stream numbers one of a link's byte streams.
type Stream uint8

// The streams of a link. Those below FirstServed are opened by the board, the
// others by the gateway: the numbers of a kubelet's own streams.
const (
	NumStreams         = 10
	FirstServed Stream = 5
)

// opener is the end that may open s.
func (s Stream) opener() Role {
	if s < FirstServed {
		return Board
	}
	return Gateway
}

// Streams is a set of streams.
type Streams uint16

// Has tells whether s is in the set.
func (set Streams) Has(s Stream) bool { return set&(1<<s) != 0 }

// phase is how far one end has come with its half of a stream.
type phase uint8

const (
	idle    phase = iota
	opening       // own half only: the peer is to be told
	open
	closing // own half only: the peer is to be told
	cutting // own half only: the peer is to be told
	closed
	cut
)

// stream is one stream of a link. It is free when both halves are idle, which
// is so after both ends have said that they closed it: no record of an earlier
// use can be on its way then. Credit outlives a use.
type stream struct {
	received ring
	credit   int // bytes that the peer still takes
	limit    int // bytes of the peer's buffer
	owed     int // bytes that left our buffer and were not granted again

	own, peer phase
	offered   bool // opened by the peer, not yet seen by Accept
}

// ended tells whether the peer sends no more in this use.
func (st *stream) ended() bool { return st.peer == closed || st.peer == cut }

// writable tells whether the peer takes bytes.
func (st *stream) writable() bool {
	return (st.own == opening || st.own == open) && st.peer == open && st.credit > 0
}

// peerMayUse tells whether the peer has heard of this use and not closed it.
func (st *stream) peerMayUse() bool { return st.peer == open && st.own != opening }

// drop forgets what was received and not read. The peer gets its credit back.
func (st *stream) drop() {
	st.owed += st.received.n
	st.received.drop(st.received.n)
}

// settle frees the stream when both ends have closed it.
func (st *stream) settle() {
	if st.own == closed && st.ended() {
		st.own, st.peer = idle, idle
	}
}

// abandon closes the own half in the given way.
func (st *stream) abandon(how phase) {
	switch st.own {
	case opening: // the peer never heard of it
		st.own, st.peer = idle, idle
	case open:
		st.own = how
	default:
		return
	}
	st.offered = false
	st.drop()
}

// granted tells whether a grant of the bytes that are owed is worth a record.
// The fraction is of the buffer; it is at most all of it, so a peer without
// credit is never forgotten.
func (st *stream) granted(fraction int) bool {
	return st.owed > 0 && st.owed*fraction >= len(st.received.buf)
}

// ring is a queue of bytes in memory of a fixed size.
type ring struct {
	buf      []byte
	start, n int
}

// write appends p, for which there must be room.
func (r *ring) write(p []byte) {
	end := r.start + r.n
	if end >= len(r.buf) {
		end -= len(r.buf)
	}
	copy(r.buf, p[copy(r.buf[end:], p):])
	r.n += len(p)
}

// head is the oldest bytes, as far as they lie in one piece.
func (r *ring) head() []byte {
	return r.buf[r.start:min(r.start+r.n, len(r.buf))]
}

// drop removes the n oldest bytes.
func (r *ring) drop(n int) {
	r.n -= n
	r.start += n
	if r.start >= len(r.buf) {
		r.start -= len(r.buf)
	}
	if r.n == 0 {
		r.start = 0
	}
}
