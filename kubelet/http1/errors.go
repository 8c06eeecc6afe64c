// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// Error is the type of the package's errors. They are compared by identity.
type Error struct {
	status int
	text   string
}

func (e *Error) Error() string { return "http1: " + e.text }

// Errors of the readers and writers; each says which status answers it. A
// connection that gave one must be closed, after the answer if there is one.
var (
	// ErrStartLine: the request or status line is malformed. 400.
	ErrStartLine = &Error{400, "malformed start line"}
	// ErrLineEnd: a line ends in something other than CRLF. 400.
	ErrLineEnd = &Error{400, "line not ended by CRLF"}
	// ErrHeader: a field line is malformed or folded, has a value that is too
	// long, or repeats a field that must be single. 400.
	ErrHeader = &Error{400, "malformed or repeated header field"}
	// ErrContentLength: Content-Length is no plain number of at most 9 digits,
	// or repeated; a response may repeat it to the letter. 400.
	ErrContentLength = &Error{400, "invalid or repeated Content-Length"}
	// ErrSmuggling: both Content-Length and Transfer-Encoding are given. 400.
	ErrSmuggling = &Error{400, "both Content-Length and Transfer-Encoding"}
	// ErrBadPath: the request target is no absolute path, has characters that
	// must be encoded, dot segments, or encoded slashes or control bytes. 400.
	ErrBadPath = &Error{400, "invalid request path"}
	// ErrHost: Host is missing, repeated or no host name. 400.
	ErrHost = &Error{400, "missing, repeated or invalid Host"}
	// ErrBodyTooLarge: the body does not fit into the buffer. 413.
	ErrBodyTooLarge = &Error{413, "body too large"}
	// ErrTargetTooLong: the request line does not fit into the buffer. 414.
	ErrTargetTooLong = &Error{414, "request target too long"}
	// ErrExpect: the request has an Expect field. 417: the client may send the
	// request again without it.
	ErrExpect = &Error{417, "expectation not supported"}
	// ErrHeadTooLarge: the header section does not fit into the buffer or, of a
	// response, is over 8 KB. 431.
	ErrHeadTooLarge = &Error{431, "header section too large"}
	// ErrFull: the buffer given to a writer is too small. 500.
	ErrFull = &Error{500, "buffer full"}
	// ErrMethod: the request method is none of GET, HEAD, POST, PUT, PATCH,
	// DELETE and OPTIONS. 501.
	ErrMethod = &Error{501, "method not implemented"}
	// ErrTransferEncoding: a request has a transfer coding, or a response one
	// other than chunked. 501.
	ErrTransferEncoding = &Error{501, "transfer coding not implemented"}
	// ErrStatus: the status code is 101 or outside 100-599. 502.
	ErrStatus = &Error{502, "unacceptable status code"}
	// ErrChunk: a chunk's framing is malformed or too large. 502.
	ErrChunk = &Error{502, "malformed chunk"}
	// ErrTruncated: the stream ended inside the message. 502.
	ErrTruncated = &Error{502, "message cut short"}
	// ErrVersion: the version is neither HTTP/1.1 nor HTTP/1.0. 505.
	ErrVersion = &Error{505, "HTTP version not supported"}
)

// StatusOf returns the status code that answers err, 500 for an error that is
// not one of this package, and 200 for nil.
func StatusOf(err error) int {
	if err == nil {
		return 200
	}
	if e, ok := err.(*Error); ok {
		return e.status
	}
	return 500
}

// StatusText returns the reason phrase of RFC 9110 or RFC 6585, or "".
func StatusText(code int) string {
	for i := range statusTexts {
		if int(statusTexts[i].code) == code {
			return statusTexts[i].text
		}
	}
	return ""
}

var statusTexts = [...]struct {
	code uint16
	text string
}{
	{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
	{301, "Moved Permanently"}, {302, "Found"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
	{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
	{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"},
	{410, "Gone"}, {411, "Length Required"}, {413, "Content Too Large"}, {414, "URI Too Long"},
	{415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {422, "Unprocessable Content"},
	{426, "Upgrade Required"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
	{503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
}
