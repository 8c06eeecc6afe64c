// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "time"

// Output is what the driver should look at after it gave a Link an input.
type Output struct {
	// Offered tells that the peer opened a stream: see Accept.
	Offered bool
	// Data lists streams with bytes to read: see Data and Consumed.
	Data Streams
	// Finished lists streams that the peer closed: it reads no more, and after
	// Data nothing comes. They are the driver's until it closes them too.
	Finished Streams
	// Reset lists streams that the peer reset; what was unread is gone. They
	// are the driver's until it closes them too.
	Reset Streams
	// Writable lists streams that Send takes bytes of. Turn is the one to offer
	// first, the others follow in the order of their numbers, so that a busy
	// stream lets the others pass.
	Writable Streams
	Turn     Stream
	// Wake is the time since boot at which Tick must be called, if no other
	// input comes before.
	Wake time.Duration
}

// Output tells what is to be done. Calling it changes nothing.
func (l *Link) Output() Output {
	o := Output{Turn: (l.turn + 1) % NumStreams, Wake: l.wake()}
	if l.state != up {
		return o
	}
	roomy := l.roomy()
	for i := range l.streams {
		st, bit := &l.streams[i], Streams(1)<<i
		o.Offered = o.Offered || st.offered
		if roomy && st.writable() {
			o.Writable |= bit
		}
		if st.own != open {
			continue
		}
		if st.received.n > 0 {
			o.Data |= bit
		}
		switch st.peer {
		case closed:
			o.Finished |= bit
		case cut:
			o.Reset |= bit
		}
	}
	return o
}

// Opens tells whether Open would open s: it is one of ours, and both ends have
// closed its last use.
func (l *Link) Opens(s Stream) bool {
	return l.state == up && s < NumStreams && s.opener() == l.role && l.streams[s].own == idle
}

// Open opens s, and tells whether that was possible. Bytes can be sent at once.
func (l *Link) Open(s Stream) bool {
	if !l.Opens(s) {
		return false
	}
	st := &l.streams[s]
	st.own, st.peer = opening, open
	return true
}

// Accept gives a stream that the peer has opened, each once.
func (l *Link) Accept() (Stream, bool) {
	for i := range l.streams {
		if st := &l.streams[i]; l.state == up && st.offered {
			st.offered = false
			return Stream(i), true
		}
	}
	return 0, false
}

// Send takes bytes to send on s and returns how many: none if s is not Writable.
func (l *Link) Send(now time.Duration, s Stream, p []byte) int {
	l.now = now
	if l.state != up || s >= NumStreams || len(p) == 0 {
		return 0
	}
	st := &l.streams[s]
	if !st.writable() || !l.roomy() {
		return 0
	}
	records := append(l.appendControl(l.plain()), record(recordData, s))
	n := min(len(p), st.credit, cap(records)-len(records))
	st.credit -= n
	l.turn = s
	l.seal(append(records, p[:n]...))
	return n
}

// Data is the oldest unread bytes of s, as far as they lie in one piece: after
// Consumed there may be more. It stays valid until the next method call.
func (l *Link) Data(s Stream) []byte {
	if s >= NumStreams || l.streams[s].own != open {
		return nil
	}
	return l.streams[s].received.head()
}

// Consumed tells that the first n bytes of Data(s) were read: the peer may send as
// many more.
func (l *Link) Consumed(s Stream, n int) {
	if n <= 0 || n > len(l.Data(s)) {
		return
	}
	l.streams[s].received.drop(n)
	l.streams[s].owed += n
}

// Close closes s after what was sent on it. What the peer sent or sends is dropped.
func (l *Link) Close(s Stream) { l.abandon(s, closing) }

// Reset closes s as Close does, and asks the peer to drop what it has not read.
func (l *Link) Reset(s Stream) { l.abandon(s, cutting) }

func (l *Link) abandon(s Stream, how phase) {
	if s < NumStreams {
		l.streams[s].abandon(how)
	}
}
