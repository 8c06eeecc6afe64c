// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package apistatus

import (
	"encoding/json"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestClientsUnderstand: client-go's own functions recognise the refusal.
func TestClientsUnderstand(t *testing.T) {
	t.Parallel()
	for code, is := range map[int]func(error) bool{
		http.StatusBadRequest:            errors.IsBadRequest,
		http.StatusUnauthorized:          errors.IsUnauthorized,
		http.StatusForbidden:             errors.IsForbidden,
		http.StatusNotFound:              errors.IsNotFound,
		http.StatusMethodNotAllowed:      errors.IsMethodNotSupported,
		http.StatusConflict:              errors.IsConflict,
		http.StatusGone:                  errors.IsResourceExpired,
		http.StatusRequestEntityTooLarge: errors.IsRequestEntityTooLargeError,
		http.StatusUnsupportedMediaType:  errors.IsUnsupportedMediaType,
		http.StatusUnprocessableEntity:   errors.IsInvalid,
		http.StatusTooManyRequests:       errors.IsTooManyRequests,
		http.StatusInternalServerError:   errors.IsInternalError,
		http.StatusBadGateway:            errors.IsServiceUnavailable,
		http.StatusServiceUnavailable:    errors.IsServiceUnavailable,
		http.StatusGatewayTimeout:        errors.IsTimeout,
	} {
		var s metav1.Status
		if err := json.Unmarshal(Refusal{Code: code, Message: "why, and what to do", RetryAfter: 7}.JSON(), &s); err != nil {
			t.Fatal(err)
		}
		err := errors.FromObject(&s)
		if !is(err) || err.Error() != "why, and what to do" {
			t.Errorf("%d is %v, reason %q", code, err, errors.ReasonForError(err))
		}
		if after, ok := errors.SuggestsClientDelay(err); !ok && code == http.StatusTooManyRequests || ok && after != 7 {
			t.Errorf("%d: come back after %d s, %v", code, after, ok)
		}
	}
	if len(reasons) != 15 {
		t.Errorf("%d codes have a reason, and 15 are tested", len(reasons))
	}
	if s := (Refusal{Code: http.StatusTeapot, Message: "no"}).Status(); s.Reason != "" || s.Details != nil || s.Kind != "Status" || s.Status != metav1.StatusFailure {
		t.Errorf("%+v", s)
	}
}
