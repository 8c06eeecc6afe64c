// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package noise is the encrypted link between a board and its gateway: one
// connection, opened by the board, that carries all byte streams of a kubelet. The
// board opens the streams towards the API server, the gateway those to the kubelet
// port, so a board needs no open port.
//
// It is a machine like package kubelet: bytes of the connection and the time since
// boot go in, bytes for the connection and an Output come out. It opens no
// connection, reads no clock, starts no goroutine, makes no entropy of its own,
// and decides on no board. A link of a board takes less than 6 KiB. After the
// handshake it allocates nothing, but for two small blocks when a key changes; where
// TinyGo compiles it, golang.org/x/crypto leaves 320 bytes of garbage a frame.
//
// # Handshake
//
// Noise_IK_25519_ChaChaPoly_SHA256 (Noise specification, revision 34) with the
// prologue "picolet link 1". The board knows a public key of the gateway. A gateway that
// has several tries one after the other on the first message.
//
//	board                                      gateway
//	  | length(2) version(1) e, es, s, ss  (99) --> |
//	  | <-- (51) length(2) version(1) e, ee, se     |
//	  | Hello: windows, id, name, version, token -> |  Asking
//	  | <------------- Admit: windows, or Refuse    |  by Admit, Refuse
//
// # Frames
//
// After it, each direction is a row of frames of at most 1024 bytes in clear. The
// number of a frame, which is not sent, is the nonce. A frame holds records; Data is
// the last, to the end of the frame. A record's first byte is its kind and the number
// of its stream.
//
//	+--------+------------------------------------------------+-----+
//	| length | records, encrypted                             | tag |
//	| 2      | [Open s] [Window s n(2)] ... [Data s bytes...] | 16  |
//	+--------+------------------------------------------------+-----+
//
//	Data     0s bytes       Finish 2s         Ping  50     Hello  80 windows, texts
//	Open     1s             Reset  3s         Pong  60     Admit  90 windows
//	Window   4s credit(2)                     Rekey 70     Refuse a0 text [delay(1)]
//	                                                       End    b0 reason(1) [delay(1)]
//	                                                       Keys   c0 21 flags(1) key(32)
//
// An end sends no more Data on a stream than the other has granted: at first its
// window from the handshake, then by Window. Credit belongs to the number of the
// stream, not to one use of it. Each end closes a use once, by Finish or Reset; after
// both did, the stream can be opened anew. Rekey gives the direction a new key after
// its frame, each 65536 frames or hour (section 4.2). Anything against these rules
// ends the link.
//
// Records from c0 on have their length in the second byte, and an end that does not
// know one skips it. Ends of before that rule end the link instead, so a board that
// keeps it sends a Pong that nobody asked for when the link is up, which older
// gateways ignore; to a board that does not, a gateway sends no such record. Keys, sent
// by a gateway, announces its newest public key; flag 1 says that it has no other. The
// board returns the record when it has stored the key.
//
// A delay, 1 to 31 seconds, asks the peer to wait before it dials again. Both of its
// records are the last of their frame, and an end that knows no delays takes them too: it
// ignores what follows a reason, and a refusal's delay is no printable character.
//
// # Security
//
// What it claims, and the tests that try to break it:
//
//   - Only the holder of the gateway's private key can be the gateway, and only the
//     holder of a board's key that board: TestHandshakeWithOtherKeys.
//   - A replayed handshake costs the gateway five operations with keys, seven at most
//     where it has three of its own, and is never asked about; nor is a board before it
//     has proved its key: TestReplayedHandshakeGetsNowhere,
//     TestReplayForAnotherKeyGetsNowhere, TestAnswerOfAnotherHandshakeIsRefused.
//   - A changed handshake or frame ends the link: TestEveryFlippedBitOfAHandshakeIsFound,
//     TestEveryFlippedByteOfAFrameIsFound.
//   - So does one that is cut, left out, repeated, swapped, reflected or from another
//     session, and nothing of it is read: TestFramesOutOfOrderEndTheLink,
//     TestReflectedFramesEndTheLink, TestFramesOfAnotherSessionEndTheLink,
//     TestTamperingNeverChangesWhatIsRead.
//   - The end of a link is only in order if its peer said so: TestEndIsToldInOrder,
//     and "cut between" in TestFramesOutOfOrderEndTheLink.
//   - Garbage is found by its first 99 bytes, and slow or silent peers by the clock:
//     TestGarbageEndsAHandshakeAtOnce, TestHandshakeTimeOut, TestSilenceEndsALink,
//     TestPeerThatDoesNotReadEndsALink.
//   - A key is announced over a link that another key has authenticated, to firmware
//     that takes it: TestAnnouncement, TestAnnouncementToOldFirmware,
//     TestAnnouncementByABoard.
//   - A peer with a good key and bad intentions gets no more memory than its windows:
//     TestRecordsAgainstTheRules, FuzzRecords.
//   - The messages are those of the specification: TestHandshakeIsNoiseIK.
//
// What a board says of itself, its join token too, goes in its first frame and not
// in the handshake: there nobody who records it and steals the gateway's key later
// can read it. The public key of a board does go in the handshake, readable for such
// a thief. The lengths and times of frames are not hidden. Whoever holds a board
// holds its key.
package noise
