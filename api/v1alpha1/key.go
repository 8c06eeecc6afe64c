// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// KeySize is the size of a board's public key in bytes (RFC 7748, section 5).
const KeySize = 32

// ErrKey says that a text is not a board's public key.
var ErrKey = errors.New("not a public key: give 32 bytes in standard base64, as picolet provision prints them")

// Key is a board's X25519 public key.
//
// +kubebuilder:object:generate=false
type Key [KeySize]byte

// ParseKey reads the text of [Key.String], and no other text of the same key.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != base64.StdEncoding.EncodedLen(KeySize) {
		return k, ErrKey
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != KeySize {
		return k, ErrKey
	}
	return Key(b), nil
}

// String gives the key in standard base64, as a Device holds it.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Name is the name of the key's Device: the first 16 hexadecimal digits of the
// key's SHA-256 hash. Two keys with one name can be found with effort, so who
// looks a Device up compares its key too.
func (k Key) Name() string {
	sum := sha256.Sum256(k[:])
	return hex.EncodeToString(sum[:8])
}

// Key reads the Device's key. The error is [ErrKey].
func (d *Device) Key() (Key, error) { return ParseKey(d.Spec.PublicKey) }
