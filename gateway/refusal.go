// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// reasons maps HTTP codes to the API server's words for them.
var reasons = map[int]metav1.StatusReason{
	http.StatusBadRequest:            metav1.StatusReasonBadRequest,
	http.StatusForbidden:             metav1.StatusReasonForbidden,
	http.StatusNotFound:              metav1.StatusReasonNotFound,
	http.StatusConflict:              metav1.StatusReasonConflict,
	http.StatusGone:                  metav1.StatusReasonExpired,
	http.StatusRequestEntityTooLarge: metav1.StatusReasonRequestEntityTooLarge,
	http.StatusUnsupportedMediaType:  metav1.StatusReasonUnsupportedMediaType,
	http.StatusTooManyRequests:       metav1.StatusReasonTooManyRequests,
	http.StatusBadGateway:            metav1.StatusReasonServiceUnavailable,
	http.StatusServiceUnavailable:    metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:        metav1.StatusReasonTimeout,
}

// status is the refusal as the API server would say it.
func (r *refusal) status() *metav1.Status {
	s := &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  r.message,
		Reason:   reasons[r.code],
		Code:     int32(r.code),
	}
	if r.retryAfter > 0 {
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(r.retryAfter)}
	}
	return s
}

// write answers with the refusal. Errors of the connection are the server's.
func (r *refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(r.status())
	if err != nil {
		panic(err) // a Status has no field that cannot be marshalled
	}
	h := w.Header()
	h.Set("Content-Type", jsonType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.hangUp {
		h.Set("Connection", "close")
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(body)
}
