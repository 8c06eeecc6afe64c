// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"crypto/cipher"
	"encoding/binary"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// half is one direction of a link after the handshake: a CipherState of the Noise
// specification (revision 34, section 5.1). It stands in for that of flynn/noise,
// which allocates for each message.
type half struct {
	aead   cipher.AEAD
	frames uint64 // since the handshake, never reset: the nonce
	fresh  uint64 // value of frames when the key was new
	buf    [chacha20poly1305.NonceSize]byte
}

// newHalf returns the direction that starts with key.
func newHalf(key [KeySize]byte) (half, error) {
	aead, err := chacha20poly1305.New(key[:])
	return half{aead: aead}, err
}

// nonce encodes n as section 12.3 has it.
func (h *half) nonce(n uint64) []byte {
	binary.LittleEndian.PutUint64(h.buf[4:], n)
	return h.buf[:]
}

// seal encrypts p in place and appends its tag, for which it must have capacity.
func (h *half) seal(p []byte) []byte {
	p = h.aead.Seal(p[:0], h.nonce(h.frames), p, nil)
	h.frames++
	return p
}

// open decrypts p in place. Whatever is wrong with it, the error is ErrFrame.
func (h *half) open(p []byte) ([]byte, error) {
	p, err := h.aead.Open(p[:0], h.nonce(h.frames), p, nil)
	if err != nil {
		return nil, ErrFrame
	}
	h.frames++
	return p, nil
}

// age is the number of frames under the present key.
func (h *half) age() uint64 { return h.frames - h.fresh }

// rekey replaces the key by section 4.2; the nonce runs on.
func (h *half) rekey() error {
	var block [KeySize + chacha20poly1305.Overhead]byte
	key := h.aead.Seal(block[:0], h.nonce(math.MaxUint64), block[:KeySize], nil)[:KeySize]
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return ErrKey
	}
	h.aead, h.fresh = aead, h.frames
	return nil
}
