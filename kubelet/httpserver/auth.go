// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

// bearer returns the token of an Authorization header (RFC 6750 section 2.1),
// nil if it has none.
func bearer(authorization []byte) []byte {
	const scheme = "bearer "
	if len(authorization) <= len(scheme) {
		return nil
	}
	for i := range len(scheme) {
		if c := authorization[i]; c != scheme[i] && (c < 'A' || c > 'Z' || c+'a'-'A' != scheme[i]) {
			return nil
		}
	}
	return authorization[len(scheme):]
}

// sameToken compares in a time that depends on the lengths alone, so that a
// token cannot be guessed byte by byte.
func sameToken(got []byte, want string) bool {
	if len(got) != len(want) {
		return false
	}
	var differ byte
	for i := range got {
		differ |= got[i] ^ want[i]
	}
	return differ == 0
}
