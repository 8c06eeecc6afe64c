// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// ErrStream is returned by Open for a stream that this end may not open.
var ErrStream = errors.New("link: not a stream that this end opens")

// Dial opens whichever stream of this end is free first.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) {
	return s.open(ctx, func(noise.Stream) bool { return true })
}

// Open opens one stream, when both ends have closed its last use.
func (s *Session) Open(ctx context.Context, id noise.Stream) (net.Conn, error) {
	if id >= noise.NumStreams || (id < noise.FirstServed) != s.board {
		return nil, ErrStream
	}
	return s.open(ctx, func(i noise.Stream) bool { return i == id })
}

func (s *Session) open(ctx context.Context, wanted func(noise.Stream) bool) (net.Conn, error) {
	s.await(1)
	defer s.await(-1)
	var st *stream
	err := s.wait(ctx, func() bool {
		for id := range noise.Stream(noise.NumStreams) {
			if wanted(id) && s.err == nil && s.link.Open(id) {
				st = &stream{session: s, id: id}
				s.update()
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("no stream opened: %w", err)
	}
	return st, nil
}

// await counts the calls that wait for a free stream.
func (s *Session) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening += n
}

// Accept waits for a stream that the peer opens.
func (s *Session) Accept() (net.Conn, error) {
	var st *stream
	err := s.wait(context.Background(), func() bool {
		id, ok := s.link.Accept()
		if ok {
			st = &stream{session: s, id: id}
		}
		return ok
	})
	if err != nil {
		return nil, fmt.Errorf("no stream accepted: %w", err)
	}
	return st, nil
}

// stream is one use of a stream, as a connection. The session's lock guards it.
type stream struct {
	session          *Session
	id               noise.Stream
	closed           bool
	reading, writing deadline
	writes           sync.Mutex // one Write after the other; taken before the session's
}

var _ net.Conn = (*stream)(nil)

// failure tells why st cannot be used any more.
func (st *stream) failure(d *deadline) error {
	switch {
	case st.closed:
		return net.ErrClosed
	case st.session.err != nil:
		return st.session.err
	case d.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Read returns io.EOF after the peer's Close, and noise.ErrStreamReset when the peer
// does not want its bytes read any more.
func (st *stream) Read(p []byte) (int, error) {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := st.failure(&st.reading); err != nil {
			return 0, err
		}
		if n := copy(p, s.link.Data(st.id)); n > 0 || len(p) == 0 {
			s.link.Consumed(st.id, n)
			s.update()
			return n, nil
		}
		if err := st.peerEnd(); err != nil {
			return 0, err
		}
		s.readers[st.id].Wait()
	}
}

// peerEnd tells how the peer closed the stream, nil while it has not.
func (st *stream) peerEnd() error {
	switch o := st.session.link.Output(); {
	case o.Finished.Has(st.id):
		return io.EOF
	case o.Reset.Has(st.id):
		return noise.ErrStreamReset
	}
	return nil
}

// Write returns when the link has taken all of p. After the peer's Close it fails.
func (st *stream) Write(p []byte) (n int, err error) {
	st.writes.Lock()
	defer st.writes.Unlock()
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.yield(st.id)
	for n < len(p) {
		if err := st.failure(&st.writing); err != nil {
			return n, err
		}
		if st.peerEnd() != nil {
			return n, noise.ErrStreamReset
		}
		sent := s.send(st.id, p[n:])
		n += sent
		if sent == 0 {
			s.waiting |= 1 << st.id
			s.writers[st.id].Wait()
		}
	}
	return n, nil
}

// send offers bytes to the link, if it is the stream's turn.
func (s *Session) send(id noise.Stream, p []byte) int {
	if len(s.out) >= maxOut {
		return 0
	}
	if next := s.first(s.link.Output()); next != id && next != noise.NumStreams {
		return 0
	}
	n := s.link.Send(s.now(), id, p)
	s.update()
	return n
}

// yield ends a stream's waiting and lets the next one try.
func (s *Session) yield(id noise.Stream) {
	if s.waiting.Has(id) {
		s.waiting &^= 1 << id
		s.wakeWriter(s.link.Output())
	}
}

// first is the stream whose turn it is among those that wait and can go on.
func (s *Session) first(o noise.Output) noise.Stream {
	for i := range noise.Stream(noise.NumStreams) {
		id := (o.Turn + i) % noise.NumStreams
		if s.waiting.Has(id) && o.Writable.Has(id) {
			return id
		}
	}
	return noise.NumStreams
}

// Close lets the peer read all that was written. What it sends is dropped.
func (st *stream) Close() error {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.closed {
		return net.ErrClosed
	}
	st.closed = true
	st.reading.stop()
	st.writing.stop()
	s.link.Close(st.id)
	s.readers[st.id].Broadcast()
	s.writers[st.id].Broadcast()
	s.update()
	return nil
}

func (st *stream) LocalAddr() net.Addr  { return st.session.conn.LocalAddr() }
func (st *stream) RemoteAddr() net.Addr { return st.session.conn.RemoteAddr() }

func (st *stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

func (st *stream) SetReadDeadline(t time.Time) error {
	return st.set(&st.reading, t, &st.session.readers[st.id])
}

func (st *stream) SetWriteDeadline(t time.Time) error {
	return st.set(&st.writing, t, &st.session.writers[st.id])
}

func (st *stream) set(d *deadline, t time.Time, waiters *sync.Cond) error {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.closed {
		return net.ErrClosed
	}
	d.stop()
	d.at = t
	if left := time.Until(t); !t.IsZero() && left > 0 {
		d.alarm = time.AfterFunc(left, func() { s.wake(waiters) })
	}
	waiters.Broadcast()
	return nil
}

// deadline is a time after which Read or Write fails.
type deadline struct {
	at    time.Time // zero: none
	alarm *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.alarm != nil {
		d.alarm.Stop()
	}
}
