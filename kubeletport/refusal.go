// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// reasons maps HTTP codes to the API server's words for them.
var reasons = map[int]metav1.StatusReason{
	http.StatusBadRequest:            metav1.StatusReasonBadRequest,
	http.StatusUnauthorized:          metav1.StatusReasonUnauthorized,
	http.StatusForbidden:             metav1.StatusReasonForbidden,
	http.StatusNotFound:              metav1.StatusReasonNotFound,
	http.StatusMethodNotAllowed:      metav1.StatusReasonMethodNotAllowed,
	http.StatusRequestEntityTooLarge: metav1.StatusReasonRequestEntityTooLarge,
	http.StatusUnprocessableEntity:   metav1.StatusReasonInvalid,
	http.StatusInternalServerError:   metav1.StatusReasonInternalError,
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
	body, contentType := []byte(r.message), textType
	if !r.plain {
		contentType = jsonType
		var err error
		if body, err = json.Marshal(r.status()); err != nil {
			panic(err) // a Status has no field that cannot be marshalled
		}
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
