// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import "encoding/binary"

// random is xorshift64*. Ports and sequence numbers made of it differ from
// boot to boot, so that no peer takes a new connection for an old one. It
// makes no secrets: the link's keys keep strangers away.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = random(x)
	return x * 0x2545F4914F6CDD1D
}

// Read fills p. It implements io.Reader for the cookies' key.
func (r *random) Read(p []byte) (int, error) {
	var b [8]byte
	for i := 0; i < len(p); i += len(b) {
		binary.LittleEndian.PutUint64(b[:], r.next())
		copy(p[i:], b[:])
	}
	return len(p), nil
}

// port is one of those that RFC 6335 leaves for dialling.
func (r *random) port() uint16 { return 49152 + uint16(r.next()>>32)%16384 }
