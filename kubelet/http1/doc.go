// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package http1 reads and writes HTTP/1.1 messages (RFC 9110, RFC 9112) in
// fixed buffers, without doing I/O: [ResponseReader] and [RequestHead] are the
// client's side, [RequestReader] and [ResponseHead] the server's.
//
// Where two parsers could disagree on where a message ends, it refuses rather
// than guesses: bare CR or LF, folded lines, white space before a colon, unclear
// lengths and transfer codings other than chunked are errors, even where
// RFC 9112 lets a recipient mend them. It refuses to upgrade, to tunnel, to
// follow redirects, and to keep headers that its user has no need of.
package http1
