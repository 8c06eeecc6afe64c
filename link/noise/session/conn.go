// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// read gives the link what arrives.
func (s *Session) read() {
	defer s.ended()
	buf := make([]byte, readChunk)
	for {
		n, err := s.conn.Read(buf)
		if !s.receive(buf[:n], err) {
			return
		}
	}
}

// receive reports whether reading goes on.
func (s *Session) receive(p []byte, err error) bool {
	p = p[s.handshake(p):]
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		p = p[s.link.Receive(s.now(), p):]
		s.update()
		if len(p) == 0 || s.err != nil {
			break
		}
		s.changed.Wait() // for the decision on the board, or the last words
	}
	if err != nil && s.err == nil {
		s.lose(err)
	}
	return err == nil && s.err == nil
}

// handshake gives the link what arrives before it is up, when Compute allows that, and
// returns how much the link has taken. It waits for nothing while it may compute.
func (s *Session) handshake(p []byte) (n int) {
	if !s.computes() {
		return 0
	}
	done, err := s.compute(s.ctx)
	if err == nil {
		defer done()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0
	case err != nil:
		s.finish(err)
		s.wakeAll()
		return 0
	}
	n = s.link.Receive(s.now(), p)
	s.update()
	return n
}

// computes reports whether what arrives next may cost operations with keys.
func (s *Session) computes() bool {
	if s.compute == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.Up() {
		s.compute = nil
		return false
	}
	return s.err == nil && !s.link.Asking()
}

// lose ends the session because of its connection.
func (s *Session) lose(err error) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.cause = err
	}
	s.link.PeerClosed(s.now())
	s.update()
}

// write writes what was gathered, and closes the connection after the last of it.
func (s *Session) write() {
	defer s.ended()
	defer s.hangUp()
	for last := false; !last; {
		var p []byte
		if p, last = s.take(); len(p) == 0 {
			continue
		}
		if _, err := s.conn.Write(p); err != nil {
			s.unwritten(err)
			return
		}
	}
}

// take waits for something to write and tells whether it is the last.
func (s *Session) take() (p []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.out) == 0 && s.err == nil {
		s.pending.Wait()
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(noise.StallTime))
	p = s.out
	s.out, s.spare = s.spare[:0], s.out
	s.update() // there is room again
	return p, s.err != nil && len(s.out) == 0
}

// hangUp closes the connection, which ends the reader too.
func (s *Session) hangUp() {
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline != nil {
		s.deadline.Stop()
	}
}

func (s *Session) unwritten(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.lose(err)
	}
}
