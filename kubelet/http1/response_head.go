// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// Values of ResponseHead.ContentLength for a body of unknown length.
const (
	Chunked    = -1 // the body comes in chunks; not for a client of HTTP/1.0
	UntilClose = -2 // the body ends when the connection is closed
)

// ResponseHead is the head of a response.
type ResponseHead struct {
	Status          int    // Required. 100 to 599, but 101.
	ContentType     string // Optional.
	ContentLength   int    // Size of the body in bytes, Chunked or UntilClose; not written for 1xx and 204.
	KeepAlive       bool   // The connection is kept. False, or UntilClose: it is closed.
	Allow           string // Optional. Methods, for 405.
	RetryAfter      string // Optional. Seconds, for 429 and 503.
	WWWAuthenticate string // Optional. Challenge, for 401.
	DateUnix        int64  // Optional [no Date]. Seconds since 1970.
}

// AppendTo appends the head, with its empty line, to dst within its capacity. On
// an error dst comes back as it was: ErrFull, ErrStatus, ErrHeader or
// ErrContentLength.
func (h *ResponseHead) AppendTo(dst []byte) ([]byte, error) {
	a := appender{buf: dst}
	h.appendStatusLine(&a)
	a.dateField(h.DateUnix)
	a.field("Content-Type", h.ContentType)
	a.field("Allow", h.Allow)
	a.field("Retry-After", h.RetryAfter)
	a.field("WWW-Authenticate", h.WWWAuthenticate)
	h.appendLength(&a)
	a.connection(h.KeepAlive && (h.ContentLength != UntilClose || h.hasNoLength()))
	add(&a, "\r\n")
	return a.done(dst)
}

func (h *ResponseHead) appendStatusLine(a *appender) {
	if h.Status < 100 || h.Status > 599 || h.Status == 101 {
		a.fail(ErrStatus)
		return
	}
	add(a, "HTTP/1.1 ")
	a.decimal(h.Status)
	add(a, " ")
	add(a, StatusText(h.Status))
	add(a, "\r\n")
}

// hasNoLength: RFC 9110, section 8.6, and RFC 9112, section 6.1.
func (h *ResponseHead) hasNoLength() bool { return h.Status < 200 || h.Status == 204 }

func (h *ResponseHead) appendLength(a *appender) {
	switch {
	case h.ContentLength < UntilClose:
		a.fail(ErrContentLength)
	case h.hasNoLength() || h.ContentLength == UntilClose:
	case h.ContentLength == Chunked:
		add(a, "Transfer-Encoding: chunked\r\n")
	default:
		appendContentLength(a, h.ContentLength)
	}
}
