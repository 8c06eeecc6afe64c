// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

// contentTypeJSON is that of every metav1.Status.
const contentTypeJSON = "application/json"

// WriteStatus makes w a metav1.Status object with the given HTTP status code,
// in place of what the handler wrote to w before. An empty reason is left out.
// Reason names those that Kubernetes uses.
func WriteStatus(w *Response, code int, reason, message string) {
	w.rewind()
	w.Status, w.ContentType = code, contentTypeJSON
	j := w.JSON()
	j.BeginObject()
	j.StringMember("kind", "Status")
	j.StringMember("apiVersion", "v1")
	j.Key("metadata")
	j.BeginObject()
	j.EndObject()
	j.StringMember("status", statusOf(code))
	j.StringMember("message", message)
	if reason != "" {
		j.StringMember("reason", reason)
	}
	j.IntMember("code", int64(code))
	j.EndObject()
}

// statusOf is the status field of a metav1.Status.
func statusOf(code int) string {
	if code < 400 {
		return "Success"
	}
	return "Failure"
}

// Reason returns the metav1.StatusReason that Kubernetes gives to an HTTP
// status code (apimachinery pkg/apis/meta/v1/types.go), "" where it has none.
func Reason(code int) string {
	switch code {
	case 400:
		return "BadRequest"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "NotFound"
	case 405:
		return "MethodNotAllowed"
	case 409:
		return "Conflict"
	case 413:
		return "RequestEntityTooLarge"
	case 415:
		return "UnsupportedMediaType"
	case 422:
		return "Invalid"
	case 429:
		return "TooManyRequests"
	case 500:
		return "InternalError"
	case 503:
		return "ServiceUnavailable"
	case 504:
		return "Timeout"
	}
	return ""
}

const busy = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: application/json\r\n" +
	"Retry-After: 1\r\n" +
	"Content-Length: 180\r\n" +
	"Connection: close\r\n" +
	"\r\n" +
	`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
	`"message":"all connections of the kubelet are in use: try again later",` +
	`"reason":"ServiceUnavailable","code":503}`

var busyBytes = []byte(busy)

// Busy returns a whole response, to be written to a connection that Accept
// refused, which is closed then: 503 with Retry-After. It must not be changed.
func Busy() []byte { return busyBytes }
