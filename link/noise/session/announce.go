// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "github.com/picolet/picolet/link/noise"

// Announce announces the gateway's newest key to the board, see noise.Link.
func (s *Session) Announce(a noise.Announcement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.Announce(a)
	s.update()
}

func (s *Session) setAcknowledged(f func(noise.Announcement)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onStore = f
}

// acknowledged reports an acknowledgment that has arrived, with the lock held.
func (s *Session) acknowledged() {
	if a, ok := s.link.Acknowledged(); ok && s.onStore != nil {
		s.onStore(a)
	}
}
