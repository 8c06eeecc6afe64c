// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"

	"github.com/picolet/picolet/api/v1alpha1"
)

// Approved reports whether the Device of a key is approved, as far as the watch has told:
// then Decide writes to the API server, where else its own limits allow little. It waits
// until the Devices have been read, or ctx ends.
func (e *Enrolment) Approved(ctx context.Context, key v1alpha1.Key) bool {
	if !e.synced(ctx) {
		return false
	}
	d := e.view.get(key.Name())
	return d != nil && d.IsApproved()
}
