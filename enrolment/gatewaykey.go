// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import "github.com/picolet/picolet/api/v1alpha1"

// Stored is told that the board has stored one of the gateway's public keys, which its
// Device then names. It returns at once.
func (h *Hold) Stored(key v1alpha1.Key) {
	before := h.gatewayKey()
	h.stored.Store(&key)
	if h.gatewayKey() != before {
		h.enrolment.queue.Add(h.device)
	}
}

// gatewayKey is the fingerprint of the gateway's key that the board has stored last, or
// has used.
func (h *Hold) gatewayKey() string {
	if key := h.stored.Load(); key != nil {
		return fingerprint(*key)
	}
	return fingerprint(h.hello.GatewayKey)
}

// fingerprint is the short name of a key of the gateway, made as that of a Device is; ""
// for no key.
func fingerprint(key v1alpha1.Key) string {
	if key == (v1alpha1.Key{}) {
		return ""
	}
	return key.Name()
}
