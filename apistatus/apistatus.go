// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apistatus says no in the words of the Kubernetes API: a refusal is a
// metav1.Status, which kubectl and client-go understand. It does not decide what to
// refuse, and it writes to no connection.
package apistatus

import (
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Refusal is an answer that something cannot be done.
type Refusal struct {
	Code       int    // Required: HTTP status code, 400 or above
	Message    string // Required: for people, says what to do
	RetryAfter int    // Optional [no time said]: seconds
}

// reasons maps HTTP status codes to the API server's words for them
// (k8s.io/apimachinery/pkg/api/errors).
var reasons = map[int]metav1.StatusReason{
	http.StatusBadRequest:            metav1.StatusReasonBadRequest,
	http.StatusUnauthorized:          metav1.StatusReasonUnauthorized,
	http.StatusForbidden:             metav1.StatusReasonForbidden,
	http.StatusNotFound:              metav1.StatusReasonNotFound,
	http.StatusMethodNotAllowed:      metav1.StatusReasonMethodNotAllowed,
	http.StatusConflict:              metav1.StatusReasonConflict,
	http.StatusGone:                  metav1.StatusReasonExpired,
	http.StatusRequestEntityTooLarge: metav1.StatusReasonRequestEntityTooLarge,
	http.StatusUnsupportedMediaType:  metav1.StatusReasonUnsupportedMediaType,
	http.StatusUnprocessableEntity:   metav1.StatusReasonInvalid,
	http.StatusTooManyRequests:       metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError:   metav1.StatusReasonInternalError,
	http.StatusBadGateway:            metav1.StatusReasonServiceUnavailable,
	http.StatusServiceUnavailable:    metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:        metav1.StatusReasonTimeout,
}

// Status is the refusal as the API server would say it. A code that it has no word
// for has no reason.
func (r Refusal) Status() *metav1.Status {
	s := &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  r.Message,
		Reason:   reasons[r.Code],
		Code:     int32(r.Code),
	}
	if r.RetryAfter > 0 {
		s.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(r.RetryAfter)}
	}
	return s
}

// JSON is the Status as a body of media type application/json.
func (r Refusal) JSON() []byte {
	body, err := json.Marshal(r.Status())
	if err != nil {
		panic(err) // a Status has no field that cannot be marshalled
	}
	return body
}
