// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tcp is one end of a TCP connection (RFC 9293) that holds no data. What
// is to be sent stays with its owner until the peer has acknowledged it, and is
// sent again from there; what arrives in order is handed on from the frame that
// brought it, and what arrives out of order is left to the peer to send again.
// So a connection costs some hundred bytes instead of two buffers.
//
// It retransmits by RFC 6298 and after three duplicate ACKs, probes a closed
// window and a silent peer, and guards against blind resets and data by RFC 5961. It
// refuses to do what a board's few small streams do not need: no options but
// the maximum segment size, no congestion window beyond the initial one that
// RFC 6928 allows, no urgent data, no simultaneous open, no sockets.
//
// The package formats no segments: those are lneto's. It reads no clock.
package tcp
