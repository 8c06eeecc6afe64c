// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"crypto/ecdh"
	"io"

	"github.com/flynn/noise"
)

// KeySize is the size of a private or public key in bytes (RFC 7748, section 5).
const KeySize = 32

// Random gives entropy: a true random number generator, or one seeded by such.
// Read works as that of io.Reader.
type Random interface {
	Read(p []byte) (int, error)
}

// PublicKey is what an end is known by.
type PublicKey [KeySize]byte

// String gives the key in hexadecimal.
func (k PublicKey) String() string {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 2*KeySize)
	for _, b := range k {
		text = append(text, digits[b>>4], digits[b&15])
	}
	return string(text)
}

// Key is a pair of a private key and its public key. It can be used for any number
// of links.
type Key struct {
	Public  PublicKey
	private *ecdh.PrivateKey
}

// String gives the public key alone, so that a log never shows the other.
func (k Key) String() string { return k.Public.String() }

// GoString is String: it keeps the private key out of %#v too.
func (k Key) GoString() string { return k.String() }

// GenerateKey makes a private key from random. The error is ErrEntropy.
func GenerateKey(random Random) (private [KeySize]byte, err error) { return draw(random) }

// NewKey makes the key pair of a private key, which on an RP2040 takes a tenth of a
// second. The error is ErrKey.
func NewKey(private [KeySize]byte) (Key, error) {
	if private == ([KeySize]byte{}) {
		return Key{}, ErrKey
	}
	k, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return Key{}, ErrKey
	}
	return Key{Public: PublicKey(k.PublicKey().Bytes()), private: k}, nil
}

// dh is the function 25519 of the Noise specification (section 12.1) for one
// handshake. That of flynn/noise takes twice as long: it computes the public key
// again for each use of a private key.
type dh struct {
	seed      [KeySize]byte // entropy of the ephemeral key
	static    *ecdh.PrivateKey
	ephemeral *ecdh.PrivateKey
}

var _ noise.DHFunc = (*dh)(nil)

func (*dh) DHLen() int     { return KeySize }
func (*dh) DHName() string { return "25519" }

// Private keys stay with dh. What stands for them in flynn/noise is one of these.
var (
	staticKey    = []byte{0}
	ephemeralKey = []byte{1}
)

// GenerateKeypair makes the ephemeral key, once.
func (d *dh) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	k, err := ecdh.X25519().NewPrivateKey(d.seed[:])
	if err != nil || d.ephemeral != nil {
		return noise.DHKey{}, ErrEntropy
	}
	d.ephemeral, d.seed = k, [KeySize]byte{}
	return noise.DHKey{Private: ephemeralKey, Public: k.PublicKey().Bytes()}, nil
}

// DH fails for public keys of low order (RFC 7748, section 6.1).
func (d *dh) DH(private, public []byte) ([]byte, error) {
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	if private[0] == staticKey[0] {
		return d.static.ECDH(peer)
	}
	return d.ephemeral.ECDH(peer)
}

// maxReads bounds how often a source is asked that gives a byte at a time.
const maxReads = 4 * KeySize

// draw reads as much entropy as a key needs.
func draw(random Random) ([KeySize]byte, error) {
	var seed [KeySize]byte
	n := 0
	for range maxReads {
		m, err := random.Read(seed[n:])
		if m < 0 || m > KeySize-n {
			return seed, ErrEntropy
		}
		if n += m; n == KeySize {
			break
		}
		if err != nil {
			return seed, ErrEntropy
		}
	}
	// Zeros are what a generator gives that does not run.
	if n < KeySize || seed == ([KeySize]byte{}) {
		return seed, ErrEntropy
	}
	return seed, nil
}
