// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "encoding/binary"

// kind is the upper half of a record's first byte; the lower half is the number of
// its stream, 0 where it is for none.
type kind uint8

const (
	recordData   kind = iota // bytes of a stream, to the end of the frame
	recordOpen               // the stream begins
	recordFinish             // the sender writes and reads no more
	recordReset              // as Finish, and what is unread shall be dropped
	recordWindow             // 2 bytes: so much more may be sent
	recordPing               // answer with Pong
	recordPong
	recordRekey  // the next frame of this direction has a new key
	recordHello  // a board's first: windows, Hello; the whole frame
	recordAdmit  // the answer: windows
	recordRefuse // the other answer: a text and perhaps a delay, to the end of the frame
	recordEnd    // 1 byte, a Reason, and perhaps a delay: nothing follows
	recordKeys   // an Announcement. From here on a byte with the length of the rest follows
)

func record(k kind, s Stream) byte { return byte(k)<<4 | byte(s) }

// Reason tells why an end closed a link.
type Reason uint8

// The reasons.
const (
	EndShutdown   Reason = iota + 1 // the program stops or starts anew: dial again
	EndReplaced                     // another connection with the same key came
	EndRevoked                      // the key is not accepted any more
	EndKeyDropped                   // the gateway has dropped the key by which the board knows it
)

// String gives the reason in words.
func (r Reason) String() string {
	switch r {
	case EndShutdown:
		return "shutdown"
	case EndReplaced:
		return "replaced by another connection with the same key"
	case EndRevoked:
		return "key revoked"
	case EndKeyDropped:
		return "the gateway's key that the board knows was dropped: provision the board with the new one"
	}
	return "unknown reason"
}

// records takes what a frame holds. After an End nothing counts any more.
func (l *Link) records(p []byte) error {
	rekey := false
	for len(p) > 0 && l.state == up {
		k, s := kind(p[0]>>4), Stream(p[0]&15)
		rest, err := l.record(k, s, p[1:])
		if err != nil {
			return err
		}
		rekey = rekey || k == recordRekey
		p = rest
	}
	if rekey {
		return l.rx.rekey()
	}
	return nil
}

// record takes one record and returns what follows it.
func (l *Link) record(k kind, s Stream, p []byte) ([]byte, error) {
	if k <= recordWindow {
		if s >= NumStreams {
			return nil, ErrStream
		}
		return l.streamRecord(k, s, p)
	}
	if s != 0 {
		return nil, ErrRecord
	}
	if k >= recordKeys {
		return l.onExtension(k, p)
	}
	switch k {
	case recordPing:
		l.pong = true
	case recordPong:
		l.onPong()
	case recordRekey:
	case recordEnd:
		return l.onEnd(p)
	default:
		return nil, ErrRecord
	}
	return p, nil
}

func (l *Link) onEnd(p []byte) ([]byte, error) {
	if len(p) == 0 {
		return nil, ErrRecord
	}
	l.reason = Reason(p[0])
	if len(p) > 1 {
		l.delay = p[1]
	}
	l.end(ErrEnded)
	return nil, nil
}

func (l *Link) streamRecord(k kind, s Stream, p []byte) ([]byte, error) {
	st := &l.streams[s]
	switch k {
	case recordData:
		return nil, l.onData(st, p)
	case recordOpen:
		return p, l.onOpen(st, s)
	case recordFinish:
		return p, l.onClosed(st, closed)
	case recordReset:
		return p, l.onClosed(st, cut)
	default:
		return l.onWindow(st, p)
	}
}

func (l *Link) onData(st *stream, p []byte) error {
	switch {
	case !st.peerMayUse():
		return ErrStream
	case len(p) == 0:
		return ErrRecord
	case len(p) > len(st.received.buf)-st.received.n-st.owed:
		return ErrCredit
	case st.own != open:
		st.owed += len(p) // nobody reads it any more
	default:
		st.received.write(p)
	}
	return nil
}

func (l *Link) onOpen(st *stream, s Stream) error {
	if s.opener() == l.role || st.own != idle || st.peer != idle {
		return ErrStream
	}
	st.own, st.peer, st.offered = open, open, true
	return nil
}

func (l *Link) onClosed(st *stream, how phase) error {
	if !st.peerMayUse() {
		return ErrStream
	}
	st.peer = how
	if how == cut {
		st.drop()
	}
	st.settle()
	return nil
}

func (l *Link) onWindow(st *stream, p []byte) ([]byte, error) {
	if len(p) < 2 {
		return nil, ErrRecord
	}
	n := int(binary.BigEndian.Uint16(p))
	if n == 0 || st.credit+n > st.limit {
		return nil, ErrCredit
	}
	st.credit += n
	return p[2:], nil
}

// Fractions of a receive buffer from which on it is worth telling the peer that
// they are free again: in a frame of its own, and in one that goes out anyway.
const (
	grantAlone = 2
	grantAlong = 4
)

// maxControl bounds what appendControl appends: a closing or opening and a grant
// for each stream, Ping, Pong, Rekey, an Announcement and an End.
const maxControl = NumStreams*4 + 3 + 2 + announcementSize + 3

// appendControl appends the records that are due.
func (l *Link) appendControl(b []byte) []byte {
	for i := range l.streams {
		b = l.streams[i].appendControl(b, Stream(i))
	}
	if l.ping {
		b = append(b, record(recordPing, 0))
	}
	if l.pong {
		b = append(b, record(recordPong, 0))
	}
	if l.rekey {
		b = append(b, record(recordRekey, 0))
	}
	l.ping, l.pong = false, false
	if l.announceDue() {
		b = l.appendAnnouncement(b)
	}
	if l.state == ending {
		b = l.appendDelay(append(b, record(recordEnd, 0), byte(l.reason)))
	}
	return b
}

func (st *stream) appendControl(b []byte, s Stream) []byte {
	switch st.own {
	case opening:
		b = append(b, record(recordOpen, s))
		st.own = open
	case closing:
		b = append(b, record(recordFinish, s))
		st.own = closed
		st.settle()
	case cutting:
		b = append(b, record(recordReset, s))
		st.own = closed
		st.settle()
	}
	if st.granted(grantAlong) {
		b = append(b, record(recordWindow, s))
		b = binary.BigEndian.AppendUint16(b, uint16(st.owed))
		st.owed = 0
	}
	return b
}

// due tells whether the stream has a record that does not wait for data.
func (st *stream) due() bool {
	return st.own == opening || st.own == closing || st.own == cutting || st.granted(grantAlone)
}

// controlDue tells whether a frame must go out, data or not.
func (l *Link) controlDue() bool {
	if l.ping || l.pong || l.rekey || l.announceDue() || l.state == ending {
		return true
	}
	for i := range l.streams {
		if l.streams[i].due() {
			return true
		}
	}
	return false
}
