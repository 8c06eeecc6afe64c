// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
)

// held is a connection that, from some time on, keeps what is written.
type held struct {
	net.Conn
	hold atomic.Bool
	mu   sync.Mutex
	kept []byte
}

func (h *held) Write(p []byte) (int, error) {
	if !h.hold.Load() {
		return h.Conn.Write(p)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// frames takes apart what was kept.
func (h *held) frames() (all [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for rest := h.kept; len(rest) > 2; {
		n := 2 + int(binary.BigEndian.Uint16(rest))
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all
}
