// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package session drives a noise.Link over a net.Conn on hosts: at the gateway's end
// for all boards, at the board's end for those that are no microcontrollers. A
// Session gives its streams as net.Conns; it is a net.Listener for those that the
// peer opens, so that an http.Server serves them, and a link.Dialer for its own,
// so that an http.Transport uses them.
//
// A stream's Close is of both directions, as that of a TCP connection without
// linger: what was written arrives, what still comes is dropped. There is no
// half-close.
//
// The package opens no connections, knows no HTTP, decides on no board and keeps no
// key.
package session
