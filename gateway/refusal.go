// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/picolet/picolet/apistatus"
)

// A refusal is an answer that the gateway gives by itself, with its reason. A
// nil *refusal means that the request may go on.
type refusal struct {
	code       int
	cause      string // bounded word for metrics and log, such as "method"
	message    string // for humans, says what to do
	retryAfter int    // seconds; 0: no Retry-After
	hangUp     bool   // the connection's framing or intent is not to be trusted
}

func (r *refusal) Error() string { return r.message }

func refuse(code int, cause, format string, args ...any) *refusal {
	return &refusal{code: code, cause: cause, message: fmt.Sprintf(format, args...)}
}

// malformed refuses a request that no kubelet sends, and ends the connection.
func malformed(cause, format string, args ...any) *refusal {
	r := refuse(http.StatusBadRequest, cause, format, args...)
	r.hangUp = true
	return r
}

func unavailable(cause string, retryAfter int, format string, args ...any) *refusal {
	r := refuse(http.StatusServiceUnavailable, cause, format, args...)
	r.retryAfter = retryAfter
	return r
}

// status is the refusal as the API server would say it.
func (r *refusal) status() apistatus.Refusal {
	return apistatus.Refusal{Code: r.code, Message: r.message, RetryAfter: r.retryAfter}
}

func (r *refusal) setRetryAfter(h http.Header) {
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
}

// write answers with the refusal. Errors of the connection are the server's.
func (r *refusal) write(w http.ResponseWriter) {
	body := r.status().JSON()
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	r.setRetryAfter(h)
	if r.hangUp {
		h.Set("Connection", "close")
		h.Del(nodeHeader)
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(body)
}
