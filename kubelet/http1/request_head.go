// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// RequestHead is the head of a request. It is written by AppendTo; nothing else
// is put between the fields, and no field is written that is empty.
type RequestHead struct {
	Method        string    // Required.
	Path          [5]string // Required. Pieces, joined as they are: "/api/v1/nodes/", name, "/status".
	Query         [5]Param  // Optional. The first without a name ends the list.
	Host          string    // Required.
	UserAgent     string    // Optional.
	Accept        string    // Optional.
	ContentType   string    // Optional.
	Authorization string    // Optional. A secret.
	Prefer        string    // Optional. RFC 7240.
	Extra         [2]Field  // Optional. The first without a name ends the list.
	ContentLength int       // Size of the body in bytes, -1 for none.
	Close         bool      // Optional. Asks the server to close the connection after its answer.
}

// Param is a parameter of a query. Its value is Value, Suffix and Bytes, one
// after another; name and value are percent-encoded when they are written.
type Param struct {
	Name, Value, Suffix string
	Bytes               []byte
}

// Field is a further header field.
type Field struct{ Name, Value string }

// AppendTo appends the head, with its empty line, to dst within its capacity. On
// an error dst comes back as it was: ErrFull; ErrStartLine, ErrBadPath, ErrHost,
// ErrHeader or ErrContentLength for a part that no request may have.
func (h *RequestHead) AppendTo(dst []byte) ([]byte, error) {
	a := appender{buf: dst}
	h.appendTarget(&a)
	h.appendFields(&a)
	add(&a, "\r\n")
	return a.done(dst)
}

func (h *RequestHead) appendTarget(a *appender) {
	if h.Method == "" || !isAll(h.Method, tokenChar) {
		a.fail(ErrStartLine)
	}
	add(a, h.Method)
	add(a, " ")
	start := len(a.buf)
	for i := range h.Path {
		add(a, h.Path[i])
	}
	if a.err == nil && !validPath(a.buf[start:]) {
		a.fail(ErrBadPath)
	}
	separator := byte('?')
	for i := range h.Query {
		param := &h.Query[i]
		if param.Name == "" {
			break
		}
		a.byte(separator)
		separator = '&'
		param.appendTo(a)
	}
	add(a, " HTTP/1.1\r\n")
}

func (p *Param) appendTo(a *appender) {
	encoded(a, p.Name)
	a.byte('=')
	encoded(a, p.Value)
	encoded(a, p.Suffix)
	encoded(a, p.Bytes)
}

func (h *RequestHead) appendFields(a *appender) {
	if h.Host == "" || !isAll(h.Host, hostChar) {
		a.fail(ErrHost)
	}
	a.field("Host", h.Host)
	a.field("User-Agent", h.UserAgent)
	a.field("Accept", h.Accept)
	a.field("Authorization", h.Authorization)
	a.field("Content-Type", h.ContentType)
	a.field("Prefer", h.Prefer)
	h.appendExtra(a)
	h.appendLength(a)
	if h.Close {
		a.connection(false)
	}
}

// appendExtra refuses fields that this package has its own say in.
func (h *RequestHead) appendExtra(a *appender) {
	for i := range h.Extra {
		field := &h.Extra[i]
		if field.Name == "" {
			return
		}
		name := fieldOf(field.Name)
		if !isAll(field.Name, tokenChar) || name != otherField && name != fieldPicoletNode {
			a.fail(ErrHeader)
		}
		a.field(field.Name, field.Value)
	}
}

func (h *RequestHead) appendLength(a *appender) {
	switch {
	case h.ContentLength >= 0:
		appendContentLength(a, h.ContentLength)
	case h.ContentLength != -1:
		a.fail(ErrContentLength)
	}
}

func appendContentLength(a *appender, length int) {
	add(a, "Content-Length: ")
	a.decimal(length)
	add(a, "\r\n")
}
