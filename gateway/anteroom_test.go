// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net"
	"testing"
)

// TestAnteroom: who has to go when it is full.
func TestAnteroom(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		waiting []string // addresses, the oldest first; those who shake hands with a "!" behind
		comes   string
		gone    int // index in waiting; -1: nobody
	}{
		{"there is room", []string{"a", "b"}, "c", -1},
		{"the oldest", []string{"a", "b", "c", "d"}, "e", 0},
		{"the oldest who has said nothing", []string{"a!", "b!", "c", "d"}, "e", 2},
		{"the oldest, where all have said something", []string{"a!", "b!", "c!", "d!"}, "e", 0},
		{"the oldest of its address", []string{"a", "b", "b"}, "b", 1},
		{"the oldest of its address who has said nothing", []string{"a", "b!", "b"}, "b", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAnteroom(4, 2)
			enter := func(address string) *linkConn {
				c, other := net.Pipe()
				t.Cleanup(func() { _, _ = c.Close(), other.Close() })
				l := &linkConn{Conn: c, addr: address[:1], cancel: func() {}}
				l.shaking.Store(len(address) > 1)
				a.enter(l)
				return l
			}
			var waiting []*linkConn
			for _, address := range tt.waiting {
				waiting = append(waiting, enter(address))
			}
			enter(tt.comes)
			for i, c := range waiting {
				if gone := c.evicted.Load(); gone != (i == tt.gone) {
					t.Errorf("%s, number %d: had to go: %v", c.addr, i, gone)
				}
			}
		})
	}
}
