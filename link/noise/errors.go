// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import "errors"

// What Configure and the functions for keys refuse.
var (
	ErrConfig  = errors.New("link: role, random, receive buffers of 64 to 65535 bytes and a sensible idle time are required")
	ErrHello   = errors.New("link: board id, node name, version or join token is too long or not printable ASCII")
	ErrKey     = errors.New("link: not an X25519 key; make one with picolet provision")
	ErrEntropy = errors.New("link: the board's entropy source failed; a power cycle may bring it back")
)

// Why a link came to an end. After each the connection is of no more use: close
// it, and dial again later.
var (
	// ErrClosed follows an End of our own.
	ErrClosed = errors.New("link: closed here")
	// ErrEnded follows an End of the peer; Reason tells why.
	ErrEnded = errors.New("link: closed by the peer")
	// ErrRefused is the gateway's answer to a board that it does not admit;
	// Refusal is its text.
	ErrRefused = errors.New("link: refused by the gateway")

	// ErrVersion: the peer speaks another version of this protocol, or
	// another protocol. Update the older end.
	ErrVersion = errors.New("link: the peer speaks another protocol or version; update the older end")
	// ErrHandshake: a handshake message was made for another key, or changed.
	ErrHandshake = errors.New("link: the handshake does not fit our keys; compare the gateway's public key with the board's settings")
	// ErrHandshakeCut: the connection ended before the handshake did. A
	// gateway that cannot read a board's first message hangs up so.
	ErrHandshakeCut = errors.New("link: the peer hung up in the handshake; compare its address, its public key and its version with the settings")
	// ErrHandshakeTimeout: the handshake took longer than HandshakeTime.
	ErrHandshakeTimeout = errors.New("link: the handshake took too long")

	// ErrFrameLength: a length that no frame has. The peer is not one of ours.
	ErrFrameLength = errors.New("link: a frame of a length that no frame has")
	// ErrFrame: a frame was changed, repeated, left out or reordered on the
	// way, or does not come from the peer.
	ErrFrame = errors.New("link: a frame was changed, repeated or lost on the way")
	// ErrRecord: a frame holds what does not belong there. A bug in the peer.
	ErrRecord = errors.New("link: the peer sent a record that is unknown or out of place")
	// ErrStream: a record for a stream in a state that does not allow it. A
	// bug in the peer.
	ErrStream = errors.New("link: the peer used a stream against the rules")
	// ErrCredit: data beyond the receiver's buffer, or credit beyond the
	// sender's. A bug in the peer.
	ErrCredit = errors.New("link: the peer sent or granted more than the receive buffer")
	// ErrKeyWorn: the peer sent more frames under one key than rekeyFrames.
	ErrKeyWorn = errors.New("link: the peer did not change its key in time")

	// ErrSilent: nothing was heard for three times the idle time.
	ErrSilent = errors.New("link: the peer has fallen silent")
	// ErrStalled: the connection took no byte for StallTime.
	ErrStalled = errors.New("link: the peer does not read")
	// ErrTruncated: the connection ended without the peer's End.
	ErrTruncated = errors.New("link: the connection was cut")
)

// ErrStreamReset is for drivers: what a reader or writer of a stream gets after
// the peer reset it.
var ErrStreamReset = errors.New("link: the peer reset the stream")
