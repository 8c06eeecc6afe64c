// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "errors"

// errFraming ends a connection whose bytes are not the plain HTTP/1.1 that a
// kubelet speaks. net/http answers it with 400 and closes the connection.
var errFraming = errors.New("not a plain HTTP/1.1 request: send a Content-Length, CRLF line ends and no Transfer-Encoding")

// framer checks the message framing of a stream of requests while it passes
// into net/http, which mends or hides what this refuses: bare LF, folded
// lines, repeated Content-Length or Host, Transfer-Encoding beside
// Content-Length (RFC 9112, sections 2.2, 5.2, 6.1, 6.3, 11.2). It keeps no
// bytes. The zero value stands before the first request of a connection.
type framer struct {
	state  framerState
	word   int      // of the request line: method, target, version
	pos    int      // bytes seen of the current word or header value
	name   [17]byte // header name, lower case; the longest that matters is transfer-encoding
	named  int      // bytes of the name, which may exceed the array
	seen   headerSet
	header headerSet // the one whose value is being read; 0: any other
	spaced bool      // white space has followed a digit of Content-Length
	body   uint64    // bytes left

	oldHTTP bool // HTTP/1.0 is taken too; set once
	isOld   bool // the request is of HTTP/1.0, which has no need of Host (RFC 1945)
}

// reset is ready for the next request.
func (f *framer) reset() { *f = framer{oldHTTP: f.oldHTTP} }

type framerState uint8

const (
	inRequestLine framerState = iota
	atRequestLineEnd
	atLineStart
	inName
	inValue
	atLineEnd
	atHeadEnd
	inBody
	broken
)

type headerSet uint8

const (
	hostHeader headerSet = 1 << iota
	lengthHeader
)

const (
	version = "HTTP/1.1"
	// maxFramedLength is far above the limit of any operation, so that a body that is merely too
	// long is refused by 413 and its reason, and far below overflow.
	maxFramedLength = 1 << 40
)

// accept takes the next bytes of the stream and returns how many of them are
// good; all of them unless err is set. The framing error stays.
func (f *framer) accept(p []byte) (n int, err error) {
	for n < len(p) {
		if f.state == inBody {
			n += f.skipBody(len(p) - n)
			continue
		}
		if f.state = f.next(p[n]); f.state == broken {
			return n, errFraming
		}
		n++
	}
	if f.state == broken {
		return 0, errFraming
	}
	return n, nil
}

func (f *framer) skipBody(have int) int {
	n := int(min(uint64(have), f.body))
	if f.body -= uint64(n); f.body == 0 {
		f.reset()
	}
	return n
}

// next takes one byte of a head.
func (f *framer) next(b byte) framerState {
	switch f.state {
	case inRequestLine:
		return f.requestLine(b)
	case atRequestLineEnd, atLineEnd:
		return f.expect(b, '\n', atLineStart)
	case atLineStart:
		return f.lineStart(b)
	case inName:
		return f.headerName(b)
	case inValue:
		return f.headerValue(b)
	case atHeadEnd:
		return f.headEnd(b)
	}
	return broken
}

func (f *framer) expect(b, want byte, then framerState) framerState {
	if b != want {
		return broken
	}
	return then
}

// requestLine takes method SP origin-form SP HTTP/1.1 (RFC 9112, section 3), or
// HTTP/1.0 where that is wanted.
func (f *framer) requestLine(b byte) framerState {
	switch {
	case b == ' ' && f.word < 2 && f.pos > 0:
		f.word, f.pos = f.word+1, 0
		return inRequestLine
	case f.word == 0 && !isUpper(b), f.word == 1 && f.pos == 0 && b != '/', b > '~':
		return broken
	case f.word == 2 && f.pos == len(version):
		return f.expect(b, '\r', atRequestLineEnd)
	case f.word == 2 && f.pos == len(version)-1 && b == '0' && f.oldHTTP:
		f.isOld = true
	case f.word == 2 && b != version[f.pos], b <= ' ':
		return broken
	}
	f.pos++
	return inRequestLine
}

func (f *framer) lineStart(b byte) framerState {
	if b == '\r' {
		return atHeadEnd
	}
	f.named = 0
	return f.headerName(b)
}

func (f *framer) headerName(b byte) framerState {
	switch {
	case b == ':' && f.named > 0:
		return f.startValue()
	case !isToken(b):
		return broken
	}
	if f.named < len(f.name) {
		f.name[f.named] = lower(b)
	}
	f.named++
	return inName
}

func (f *framer) startValue() framerState {
	f.pos, f.header, f.spaced = 0, 0, false
	if f.named <= len(f.name) {
		switch string(f.name[:f.named]) {
		case "transfer-encoding":
			return broken
		case "content-length":
			f.header = lengthHeader
		case "host":
			f.header = hostHeader
		}
	}
	if f.seen&f.header != 0 {
		return broken
	}
	f.seen |= f.header
	return inValue
}

func (f *framer) headerValue(b byte) framerState {
	switch {
	case b == '\r':
		if f.header != 0 && f.pos == 0 {
			return broken
		}
		return atLineEnd
	case b == ' ' || b == '\t':
		f.spaced = f.pos > 0
		return inValue
	case b < ' ' || b > '~', f.header == lengthHeader && !f.lengthDigit(b):
		return broken
	}
	f.pos++
	return inValue
}

func (f *framer) lengthDigit(b byte) bool {
	if b < '0' || b > '9' || f.spaced {
		return false
	}
	f.body = f.body*10 + uint64(b-'0')
	return f.body <= maxFramedLength
}

func (f *framer) headEnd(b byte) framerState {
	if b != '\n' || f.seen&hostHeader == 0 && !f.isOld {
		return broken
	}
	if f.body > 0 {
		return inBody
	}
	f.reset()
	return inRequestLine
}

func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }

func lower(b byte) byte {
	if isUpper(b) {
		return b + 'a' - 'A'
	}
	return b
}

// isToken reports a tchar (RFC 9110, section 5.6.2).
func isToken(b byte) bool {
	switch b {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	b = lower(b)
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z'
}
