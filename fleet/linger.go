// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"io"
	"net"
	"time"
)

// A connection lingers after its last byte until the peer closes it too:
// closing a TCP connection with unread input resets it, and the peer may lose
// the answer.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10 // of input thrown away
	maxLinger   = 8         // connections of a boot; further ones are closed at once
)

// startLinger ends the writing side of nc and tells whether it may linger. If
// so, endLinger must follow.
func (r *runner) startLinger(nc net.Conn) bool {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok {
		return false
	}
	if r.lingering.Add(1) > maxLinger || half.CloseWrite() != nil {
		r.lingering.Add(-1)
		return false
	}
	_ = nc.SetReadDeadline(time.Now().Add(lingerTime))
	return true
}

// endLinger waits for the peer to close nc.
func (r *runner) endLinger(nc net.Conn) {
	_, _ = io.CopyN(io.Discard, nc, lingerBytes)
	r.lingering.Add(-1)
}

// refuse tells a client of the kubelet port that there are too many.
func (r *runner) refuse(nc net.Conn) {
	defer r.running.Done()
	defer func() { _ = nc.Close() }()
	_ = nc.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, err := nc.Write(r.node.opts.Busy); err == nil && r.startLinger(nc) {
		r.endLinger(nc)
	}
}
