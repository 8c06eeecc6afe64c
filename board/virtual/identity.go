// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package virtual

import (
	"crypto/rand"
	"crypto/sha1" // UUIDs of version 5 are defined by it
	"crypto/sha256"
	"fmt"
	"strconv"
)

// boardID returns virtual- and 16 hexadecimal digits: of the hashed name, or
// of the seed if there is no name.
func boardID(name string, seed uint64) string {
	if name == "" {
		return fmt.Sprintf("virtual-%016x", seed)
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("virtual-%x", sum[:8])
}

// bootID returns a random UUID, or for a numbered boot one that repeats.
func bootID(id string, boot uint64) string {
	if boot != 0 {
		return nameUUID("boards/" + id + "/boots/" + strconv.FormatUint(boot, 10))
	}
	var random [16]byte
	rand.Read(random[:]) // never fails
	return formatUUID(random, 4)
}

// namespaceURL is the name space for URLs, RFC 4122 appendix C.
var namespaceURL = []byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// nameUUID returns the UUID of https://picolet.dev/<path>, RFC 4122 section
// 4.3, version 5.
func nameUUID(path string) string {
	hash := sha1.New()
	hash.Write(namespaceURL)
	hash.Write([]byte("https://picolet.dev/" + path))
	return formatUUID([16]byte(hash.Sum(nil)), 5)
}

// formatUUID sets version and variant, and writes the UUID as RFC 4122
// section 3 does.
func formatUUID(u [16]byte, version byte) string {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
