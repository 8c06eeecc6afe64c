// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"encoding/binary"
	"time"
)

// Sizes of a frame in bytes.
const (
	lengthSize = 2
	maxPlain   = 1024
	minFrame   = 1 + tagSize
	maxFrame   = maxPlain + tagSize

	// Overhead is what a frame adds to the bytes of a stream: its length, a
	// record's first byte and its tag.
	Overhead = lengthSize + 1 + tagSize

	// MaxData is the most bytes of a stream that one frame takes.
	MaxData = maxPlain - 1
)

// worthwhile is the room for data below which a second frame is not started behind
// one that waits.
const worthwhile = 64

func putLength(frame []byte) {
	binary.BigEndian.PutUint16(frame, uint16(len(frame)-lengthSize))
}

// plain is where the next frame's records go: empty, with the capacity that there
// is.
func (l *Link) plain() []byte {
	start := l.outEnd + lengthSize
	return l.out[start:start:max(start, min(start+maxPlain, len(l.out)-tagSize))]
}

// roomy tells whether a frame fits behind what is pending.
func (l *Link) roomy() bool {
	return l.outEnd == 0 || len(l.out)-l.outEnd >= Overhead+maxControl+worthwhile
}

// seal makes the frame whose records stand where plain said.
func (l *Link) seal(records []byte) {
	if l.outEnd == 0 {
		l.moved = l.now
	}
	start := l.outEnd + lengthSize
	end := start + len(l.tx.seal(l.out[start:start+len(records)])) // with room for the tag
	frame := l.out[l.outEnd:end]
	putLength(frame)
	l.outEnd += len(frame)
	if !l.rekey {
		l.rekey = l.tx.age() >= rekeyFrames-1
		return
	}
	l.rekey = false
	l.rekeyed = l.now
	if err := l.tx.rekey(); err != nil {
		l.fail(err)
	}
}

// Receive takes bytes of the connection and returns how many. They are fewer than
// len(p) when the link has ended, or when the gateway's word on the board is
// due: what is left must be given again after Admit.
func (l *Link) Receive(now time.Duration, p []byte) int {
	l.now = now
	n := 0
	for n < len(p) && l.reading() {
		n += l.collect(p[n:])
	}
	return n
}

// collect takes bytes up to the end of what is read at present, the length or the
// frame.
func (l *Link) collect(p []byte) int {
	n := copy(l.in[l.inLen:l.want], p)
	if l.inLen += n; l.inLen < l.want {
		return n
	}
	if err := l.collected(); err != nil {
		l.fail(err)
	}
	return n
}

// collected takes a length or a frame that is complete.
func (l *Link) collected() error {
	if l.inLen == lengthSize {
		size := int(binary.BigEndian.Uint16(l.in[:]))
		l.want += size
		return l.checkLength(size)
	}
	frame := l.in[lengthSize:l.inLen]
	l.inLen, l.want = 0, lengthSize
	if err := l.frame(frame); err != nil {
		return err
	}
	l.heard, l.pinged = l.now, l.now
	return nil
}

// checkLength refuses a length before anything is read by it.
func (l *Link) checkLength(size int) error {
	low, high := minFrame, maxFrame
	switch l.state {
	case awaitFirst:
		low, high = firstSize, firstSize
	case awaitSecond:
		low, high = secondSize, secondSize
	}
	if size < low || size > high {
		return ErrFrameLength
	}
	return nil
}

// frame takes a frame, without its length.
func (l *Link) frame(p []byte) error {
	switch l.state {
	case awaitFirst:
		return l.onFirst(p)
	case awaitSecond:
		return l.onSecond(p)
	}
	if l.rx.age() >= rekeyFrames {
		return ErrKeyWorn
	}
	p, err := l.rx.open(p)
	if err != nil {
		return err
	}
	switch l.state {
	case awaitHello:
		return l.onHello(p)
	case awaitVerdict:
		return l.onVerdict(p)
	}
	return l.records(p)
}

// Pending returns what is to be written to the connection next, first sealing what
// is due. It stays valid until the next method call.
func (l *Link) Pending() []byte {
	if (l.state == up || l.state == ending) && l.outEnd == 0 && l.controlDue() {
		l.seal(l.appendControl(l.plain()))
		if l.state == ending {
			l.state = flushing
		}
	}
	return l.out[l.outStart:l.outEnd]
}

// Sent tells that the first n bytes of Pending were written.
func (l *Link) Sent(now time.Duration, n int) {
	l.now = now
	if n <= 0 || n > l.outEnd-l.outStart {
		return
	}
	l.moved = now
	l.outStart += n
	if l.outStart < l.outEnd {
		return
	}
	l.outStart, l.outEnd = 0, 0
	if l.state == flushing {
		l.end(l.farewell)
	}
}
