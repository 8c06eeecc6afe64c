// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// Limits of what a ResponseReader takes besides a body, in bytes.
const (
	maxResponseHead = 8 << 10 // with all interim responses before it
	maxTrailer      = 8 << 10
	maxChunkLine    = 256 // size and extensions
	maxRetryAfter   = 3600
	maxETag         = 20 // digits of the largest resourceVersion
)

// State is what a ResponseReader waits for.
type State uint8

// The states of a ResponseReader.
const (
	ReadingHead State = iota
	ReadingBody
	Done
)

// ResponseReader reads one response at a time from pieces of input, in constant
// memory. Interim responses are skipped, as are trailers and chunk extensions,
// within bounds. Call Reset before each response.
type ResponseReader struct {
	// Valid once HeadDone reports true:

	Status     int  // 200 to 599
	RetryAfter int  // seconds, at most 3600; -1 if absent or a date
	Close      bool // the connection cannot be used again: asked for, HTTP/1.0, or the body ends with it
	Report     bool // a gateway asks for the node's whole status: it sent Picolet-Report: status
	Bound      bool // the peer is a gateway that knows whose connection this is: see bind

	phase     phase
	noBody    bool // the request was HEAD
	http10    bool
	chunked   bool
	node      bool  // Picolet-Node was sent
	nodeHop   bool  // Connection names it
	lengthLen uint8 // digits of Content-Length, 0 if there is none
	digits    uint8 // of the chunk size
	dateLen   uint8
	etagLen   uint8
	date      [29]byte
	etag      [maxETag]byte
	fields    fieldReader // before the fields, its line holds the status line
	budget    int         // bytes that this section or chunk line may still have
	remaining int         // bytes to come of the body or chunk
	err       error
}

// phase is the element of the message that the next byte belongs to.
type phase uint8

const (
	phaseStatusLine phase = iota
	phaseReason
	phaseStatusLF
	phaseHeader
	phaseFixedBody
	phaseUntilClose
	phaseChunkSize
	phaseChunkExtension
	phaseChunkSizeLF
	phaseChunkData
	phaseChunkCR
	phaseChunkLF
	phaseTrailer
	phaseDone
)

// Reset makes ready for the response to a request of the given method.
func (r *ResponseReader) Reset(method string) {
	*r = ResponseReader{noBody: equal(method, "HEAD"), budget: maxResponseHead}
	r.startHead()
}

// startHead forgets the interim response read before, but not its size.
func (r *ResponseReader) startHead() {
	r.Status, r.RetryAfter, r.Close, r.Bound = 0, -1, false, false
	r.phase, r.http10, r.chunked = phaseStatusLine, false, false
	r.node, r.nodeHop, r.Report = false, false, false
	r.lengthLen, r.dateLen, r.etagLen, r.fields.length = 0, 0, 0, 0
}

// HeadDone reports whether the status line and header of a final response were read.
func (r *ResponseReader) HeadDone() bool { return r.phase > phaseHeader }

// DateText returns the value of Date if it has the size of an IMF-fixdate
// (RFC 9110, section 5.6.7), else nothing. It is valid until Reset.
func (r *ResponseReader) DateText() []byte { return r.date[:r.dateLen] }

// ETagText returns the opaque tag of ETag (RFC 9110, section 8.8.3), without its
// quotes, or nothing if there is none of at most 20 bytes. It is valid until
// Reset.
func (r *ResponseReader) ETagText() []byte { return r.etag[:r.etagLen] }

// Feed consumes n bytes at the front of in, and returns the piece of the body
// found there, which is part of in and may be empty. Call again with the rest
// until all is consumed or the state is Done; then nothing more is consumed.
// Errors are sticky and make the connection useless.
func (r *ResponseReader) Feed(in []byte) (body []byte, n int, st State, err error) {
	for n < len(in) && len(body) == 0 && r.err == nil && r.phase != phaseDone {
		if r.inData() {
			body = r.data(in[n:])
			n += len(body)
			continue
		}
		r.err = r.step(in[n])
		n++
	}
	return body, n, r.state(), r.err
}

// End tells that the stream ended: nil if the response is whole, which may be
// only now known, else ErrTruncated or the error that came before.
func (r *ResponseReader) End() error {
	switch {
	case r.err != nil:
	case r.phase == phaseUntilClose:
		r.phase = phaseDone
	case r.phase != phaseDone:
		r.err = ErrTruncated
	}
	return r.err
}

func (r *ResponseReader) state() State {
	switch {
	case r.phase <= phaseHeader:
		return ReadingHead
	case r.phase == phaseDone:
		return Done
	}
	return ReadingBody
}

func (r *ResponseReader) inData() bool {
	return r.phase == phaseFixedBody || r.phase == phaseUntilClose || r.phase == phaseChunkData
}

// data returns the bytes of the body at the front of in.
func (r *ResponseReader) data(in []byte) []byte {
	if r.phase == phaseUntilClose {
		return in
	}
	body := in[:min(len(in), r.remaining)]
	r.remaining -= len(body)
	switch {
	case r.remaining > 0:
	case r.phase == phaseFixedBody:
		r.phase = phaseDone
	default:
		r.phase = phaseChunkCR
	}
	return body
}

// step takes a byte that is not of the body.
func (r *ResponseReader) step(c byte) error {
	if r.budget == 0 {
		return r.overBudget()
	}
	r.budget--
	switch r.phase {
	case phaseStatusLine, phaseReason, phaseStatusLF:
		return r.statusByte(c)
	case phaseHeader:
		return r.headerByte(c)
	case phaseTrailer:
		return r.trailerByte(c)
	}
	return r.chunkByte(c)
}

func (r *ResponseReader) overBudget() error {
	if r.phase <= phaseHeader || r.phase == phaseTrailer {
		return ErrHeadTooLarge
	}
	return ErrChunk
}

// statusByte takes a byte of the status line (RFC 9112, section 4).
func (r *ResponseReader) statusByte(c byte) error {
	const size = len("HTTP/1.1 200")
	f := &r.fields
	switch {
	case r.phase == phaseStatusLF && c == '\n':
		r.phase = phaseHeader
		f.state = atLine
	case r.phase == phaseStatusLF:
		return ErrLineEnd
	case r.phase == phaseReason && c == '\r':
		r.phase = phaseStatusLF
	case classes[c]&valueChar == 0 && (c != '\r' || int(f.length) < size):
		return startLineError(c)
	case r.phase == phaseReason:
	case int(f.length) < size:
		f.line[f.length] = c
		f.length++
	case c == '\r': // the space before an empty reason is often left out
		r.phase = phaseStatusLF
		return r.statusLine(f.line[:size])
	case c == ' ':
		r.phase = phaseReason
		return r.statusLine(f.line[:size])
	default:
		return ErrStartLine
	}
	return nil
}

func startLineError(c byte) error {
	if c == '\n' {
		return ErrLineEnd
	}
	return ErrStartLine
}

// statusLine takes the version and the status code.
func (r *ResponseReader) statusLine(line []byte) error {
	version, code := line[:len("HTTP/1.1")], line[len("HTTP/1.1 "):]
	r.http10 = equal(version, "HTTP/1.0")
	if !r.http10 && !equal(version, "HTTP/1.1") {
		return versionError(version)
	}
	status, ok := parseDecimal(code)
	if !ok || line[len(version)] != ' ' {
		return ErrStartLine
	}
	if status < 100 || status > 599 || status == 101 {
		return ErrStatus
	}
	r.Status = status
	r.Close = r.http10
	return nil
}

// versionError tells another version of HTTP from something that is none.
func versionError(version []byte) *Error {
	const form = "HTTP/1.1"
	if len(version) != len(form) {
		return ErrStartLine
	}
	for i := range len(form) {
		digit := version[i] >= '0' && version[i] <= '9'
		if form[i] == '1' && !digit || form[i] != '1' && form[i] != version[i] {
			return ErrStartLine
		}
	}
	return ErrVersion
}

func (r *ResponseReader) headerByte(c byte) error {
	event, err := r.fields.next(c)
	switch {
	case err != nil:
		return err
	case event == fieldEnd:
		return r.takeField(r.fields.name, r.fields.value())
	case event == sectionEnd:
		return r.endHead()
	}
	return nil
}

func (r *ResponseReader) takeField(name field, value []byte) error {
	switch name {
	case fieldConnection:
		r.Close = r.Close || listHas(value, "close")
		r.bind(r.node, listHas(value, "picolet-node"))
	case fieldContentLength:
		return r.takeLength(value)
	case fieldTransferEncoding:
		if r.chunked || r.http10 || !equalFold(value, "chunked") {
			return ErrTransferEncoding
		}
		r.chunked = true
	case fieldDate:
		if r.dateLen == 0 && len(value) == len(r.date) {
			r.dateLen = uint8(copy(r.date[:], value))
		}
	case fieldETag:
		r.takeETag(value)
	case fieldPicoletNode:
		r.bind(len(value) > 0, r.nodeHop)
	case fieldPicoletReport:
		r.Report = equal(value, "status")
	case fieldRetryAfter:
		r.RetryAfter = retryAfter(value)
	}
	return nil
}

// bind notes that the peer knows whose connection this is. It says so of this
// connection alone: Connection must name Picolet-Node too, or it comes from beyond
// an intermediary (RFC 9110, section 7.6.1).
func (r *ResponseReader) bind(node, hop bool) {
	r.node, r.nodeHop = node, r.nodeHop || hop
	r.Bound = r.node && r.nodeHop
}

// takeETag takes a strong entity tag; one of another form is none.
func (r *ResponseReader) takeETag(value []byte) {
	last := len(value) - 1
	if last < 1 || last-1 > len(r.etag) || value[0] != '"' || value[last] != '"' || indexByte(value[1:last], '"') >= 0 {
		return
	}
	r.etagLen = uint8(copy(r.etag[:], value[1:last]))
}

// takeLength takes a Content-Length; another must be the same to the letter.
func (r *ResponseReader) takeLength(value []byte) error {
	length, ok := parseDecimal(value)
	if !ok || r.hasLength() && (length != r.remaining || len(value) != int(r.lengthLen)) {
		return ErrContentLength
	}
	r.remaining, r.lengthLen = length, uint8(len(value))
	return nil
}

func (r *ResponseReader) hasLength() bool { return r.lengthLen > 0 }

// retryAfter returns the seconds of a Retry-After field, -1 for a date.
func retryAfter(value []byte) int {
	seconds := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return -1
		}
		seconds = min(seconds*10+int(c-'0'), maxRetryAfter)
	}
	if len(value) == 0 {
		return -1
	}
	return seconds
}

// endHead finds out where the body ends (RFC 9112, section 6.3).
func (r *ResponseReader) endHead() error {
	switch {
	case r.chunked && r.hasLength():
		return ErrSmuggling
	case r.Status < 200:
		r.startHead()
	case r.noBody, r.Status == 204, r.Status == 304, r.hasLength() && r.remaining == 0:
		r.phase = phaseDone
	case r.chunked:
		r.startChunk()
	case r.hasLength():
		r.phase = phaseFixedBody
	default:
		r.phase = phaseUntilClose
		r.Close = true
	}
	return nil
}

func (r *ResponseReader) trailerByte(c byte) error {
	event, err := r.fields.next(c)
	if event == sectionEnd {
		r.phase = phaseDone
	}
	return err
}
