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

func (s *Session) setStore(f func(noise.Announcement) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onStore = f
}

// announcements handles an announcement on a board, and its acknowledgment on a gateway,
// with the lock held.
func (s *Session) announcements() {
	if s.onStore == nil {
		return
	}
	if a, ok := s.link.Announced(); ok && s.onStore(a) {
		s.link.Acknowledge()
	}
	if a, ok := s.link.Acknowledged(); ok {
		s.onStore(a)
	}
}
