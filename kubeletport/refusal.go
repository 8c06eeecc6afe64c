// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/picolet/picolet/apistatus"
)

// A refusal is an answer that the port gives by itself, with its reason. A nil
// *refusal means that the request may go on.
type refusal struct {
	code       int
	message    string // for humans, says what to do
	retryAfter int    // seconds; 0: no Retry-After
	allow      string // methods, of a 405
	hangUp     bool   // the client is not to be trusted with this connection
	plain      bool   // as text, where kubectl shows a body as it is
	err        error  // for the log: what the client need not know
}

func (r *refusal) Error() string {
	if r.err != nil {
		return r.message + ": " + r.err.Error()
	}
	return r.message
}

func (r *refusal) because(err error) *refusal {
	r.err = err
	return r
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// malformed refuses what no client of a kubelet sends, and ends the connection.
func malformed(format string, args ...any) *refusal {
	r := refuse(http.StatusBadRequest, format, args...)
	r.hangUp = true
	return r
}

// busy refuses what may go well a second later.
func busy(format string, args ...any) *refusal {
	r := refuse(http.StatusServiceUnavailable, format, args...)
	r.retryAfter = 1
	return r
}

// write answers with the refusal. Errors of the connection are the server's.
func (r *refusal) write(w http.ResponseWriter) {
	body, contentType := []byte(r.message), textType
	if !r.plain {
		contentType = jsonType
		body = apistatus.Refusal{Code: r.code, Message: r.message, RetryAfter: r.retryAfter}.JSON()
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.allow != "" {
		h.Set("Allow", r.allow)
	}
	if r.hangUp {
		h.Set("Connection", "close")
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(body)
}
