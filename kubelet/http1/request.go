// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// RequestReader reads one request into a buffer given by the caller, and accepts
// less than RFC 9112 allows: an absolute path as target, a length for a body, and
// the methods GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. Upgrade is
// ignored. What the accessors return is part of that buffer and valid once Feed
// reported done.
type RequestReader struct {
	buf           []byte
	method        []byte
	path          []byte
	query         []byte
	host          []byte // nil if absent, as the two below
	authorization []byte
	contentType   []byte

	length        int32 // bytes of buf in use
	lineStart     int32 // of the line under way; after the head, of the body
	contentLength int32
	err           *Error

	stage       stage
	http10      bool
	afterCR     bool
	hasLength   bool
	hasCoding   bool
	hasExpect   bool
	askClose    bool
	askContinue bool // Connection: keep-alive
}

type stage uint8

const (
	stageRequestLine stage = iota
	stageFields
	stageBody
	stageDone
)

// maxRequest bounds what a RequestReader uses of its buffer, in bytes.
const maxRequest = 1 << 30

// Reset makes ready for a request of at most len(buf) bytes, head and body.
func (r *RequestReader) Reset(buf []byte) {
	*r = RequestReader{buf: buf[:min(len(buf), maxRequest)]}
}

// Feed consumes n bytes at the front of in and reports whether the request is
// whole. What follows it is not consumed. An error, for which StatusOf gives the
// answer, is sticky.
func (r *RequestReader) Feed(in []byte) (n int, done bool, err error) {
	for n < len(in) && r.err == nil && r.stage < stageBody {
		r.err = r.headByte(in[n])
		n++
	}
	if r.err != nil {
		return n, false, r.err
	}
	if r.stage == stageBody {
		size := copy(r.buf[r.length:r.lineStart+r.contentLength], in[n:])
		r.length += int32(size)
		n += size
		r.checkDone()
	}
	return n, r.stage == stageDone, nil
}

func (r *RequestReader) checkDone() {
	if r.length == r.lineStart+r.contentLength {
		r.stage = stageDone
	}
}

// Method returns the request method, in upper case.
func (r *RequestReader) Method() []byte { return r.method }

// Path returns the path as it was sent: it starts with '/', and its percent
// encodings hide neither slashes, dot segments nor control bytes.
func (r *RequestReader) Path() []byte { return r.path }

// Query returns what follows the first '?', as it was sent; see QueryValue.
func (r *RequestReader) Query() []byte { return r.query }

// Host returns the Host field; an HTTP/1.0 request may have none.
func (r *RequestReader) Host() []byte { return r.host }

// Authorization returns the Authorization field. It is a secret.
func (r *RequestReader) Authorization() []byte { return r.authorization }

// ContentType returns the Content-Type field.
func (r *RequestReader) ContentType() []byte { return r.contentType }

// Body returns the body.
func (r *RequestReader) Body() []byte {
	if r.stage != stageDone {
		return nil
	}
	return r.buf[r.lineStart:r.length]
}

// HTTP10 reports whether the client speaks HTTP/1.0, which knows no chunks.
func (r *RequestReader) HTTP10() bool { return r.http10 }

// KeepAlive reports whether the client wants to go on using the connection
// (RFC 9112, section 9.3).
func (r *RequestReader) KeepAlive() bool {
	return r.stage == stageDone && !r.askClose && (r.askContinue || !r.http10)
}

// headByte takes a byte of the request line or the header section.
func (r *RequestReader) headByte(c byte) *Error {
	switch {
	case int(r.length) == len(r.buf) && r.stage == stageRequestLine:
		return ErrTargetTooLong
	case int(r.length) == len(r.buf):
		return ErrHeadTooLarge
	case r.afterCR != (c == '\n'):
		return ErrLineEnd
	case classes[c]&valueChar != 0 || c == '\r' || c == '\n':
	case r.stage == stageRequestLine:
		return ErrStartLine
	default:
		return ErrHeader
	}
	r.buf[r.length] = c
	r.length++
	r.afterCR = c == '\r'
	if c != '\n' {
		return nil
	}
	line := r.buf[r.lineStart : r.length-2]
	r.lineStart = r.length
	return r.takeLine(line)
}

func (r *RequestReader) takeLine(line []byte) *Error {
	switch {
	case r.stage == stageRequestLine:
		r.stage = stageFields
		return r.requestLine(line)
	case len(line) == 0:
		return r.endHead()
	}
	return r.fieldLine(line)
}

// requestLine takes the three parts of RFC 9112, section 3.
func (r *RequestReader) requestLine(line []byte) *Error {
	first := indexByte(line, ' ')
	if first < 1 || !isAll(line[:first], tokenChar) {
		return ErrStartLine
	}
	method, rest := line[:first], line[first+1:]
	second := indexByte(rest, ' ')
	if second < 1 {
		return ErrStartLine
	}
	target, version := rest[:second], rest[second+1:]
	r.http10 = equal(version, "HTTP/1.0")
	if !r.http10 && !equal(version, "HTTP/1.1") {
		return versionError(version)
	}
	if !knownMethod(method) {
		return ErrMethod
	}
	r.method = method
	return r.takeTarget(target)
}

func (r *RequestReader) takeTarget(target []byte) *Error {
	r.path = target
	if mark := indexByte(target, '?'); mark >= 0 {
		r.path, r.query = target[:mark], target[mark+1:]
	}
	if !validPath(r.path) || !isAll(r.query, queryChar) {
		return ErrBadPath
	}
	return nil
}

func knownMethod(method []byte) bool {
	for _, known := range [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if equal(method, known) {
			return true
		}
	}
	return false
}

// fieldLine takes a line of the header. A folded one fails for its white space,
// which is no token.
func (r *RequestReader) fieldLine(line []byte) *Error {
	colon := indexByte(line, ':')
	if colon < 1 || !isAll(line[:colon], tokenChar) {
		return ErrHeader
	}
	value := trimSpace(line[colon+1:])
	switch fieldOf(line[:colon]) {
	case fieldHost:
		return r.takeHost(value)
	case fieldAuthorization:
		return takeSingle(&r.authorization, value)
	case fieldContentType:
		return takeSingle(&r.contentType, value)
	case fieldContentLength:
		return r.takeLength(value)
	case fieldTransferEncoding:
		r.hasCoding = true
	case fieldExpect:
		r.hasExpect = true
	case fieldConnection:
		r.askClose = r.askClose || listHas(value, "close")
		r.askContinue = r.askContinue || listHas(value, "keep-alive")
	}
	return nil
}

func takeSingle(to *[]byte, value []byte) *Error {
	if *to != nil {
		return ErrHeader
	}
	*to = value
	return nil
}

func (r *RequestReader) takeHost(value []byte) *Error {
	if r.host != nil || len(value) == 0 || !isAll(value, hostChar) {
		return ErrHost
	}
	r.host = value
	return nil
}

func (r *RequestReader) takeLength(value []byte) *Error {
	length, ok := parseDecimal(value)
	if !ok || r.hasLength {
		return ErrContentLength
	}
	r.hasLength, r.contentLength = true, int32(length)
	return nil
}

// endHead checks what only the whole header shows.
func (r *RequestReader) endHead() *Error {
	switch {
	case r.hasCoding && r.hasLength:
		return ErrSmuggling
	case r.hasCoding:
		return ErrTransferEncoding
	case r.host == nil && !r.http10:
		return ErrHost
	case r.hasExpect && !r.http10: // RFC 9110, section 10.1.1
		return ErrExpect
	case int(r.contentLength) > len(r.buf)-int(r.length):
		return ErrBodyTooLarge
	}
	r.stage = stageBody
	r.checkDone()
	return nil
}
