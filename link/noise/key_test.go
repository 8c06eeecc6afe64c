// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// stingy gives a byte at a time, and in the end nothing.
type stingy struct {
	fakeRandom
	left int
	err  error
}

func (r *stingy) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, r.err
	}
	r.left--
	return r.fakeRandom.Read(p[:1])
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestEntropyIsNotTakenOnTrust(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		random Random
		want   error
	}{
		"byte by byte":       {&stingy{left: 32}, nil},
		"fails":              {&stingy{left: 31, err: io.ErrUnexpectedEOF}, ErrEntropy},
		"silent":             {&stingy{left: 31}, ErrEntropy},
		"zeros":              {zeros{}, ErrEntropy},
		"counts wrong":       {countsWrong(33), ErrEntropy},
		"counts below zero ": {countsWrong(-1), ErrEntropy},
	} {
		if _, err := GenerateKey(test.random); err != test.want {
			t.Errorf("%s: key: %v, want %v", name, err, test.want)
		}
	}
	c := boardConfig(1)
	c.Random = zeros{}
	b := newLink(t, c)
	b.Start(0)
	if b.Err() != ErrEntropy {
		t.Errorf("board without entropy: %v, want ErrEntropy", b.Err())
	}
}

type countsWrong int

func (n countsWrong) Read([]byte) (int, error) { return int(n), nil }

// RFC 7748, section 6.1: Alice's keys.
func TestPublicKeyOfRFC7748(t *testing.T) {
	t.Parallel()
	const public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
	alice := [KeySize]byte{
		0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
		0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
	}
	k, err := NewKey(alice)
	if err != nil || k.Public.String() != public {
		t.Errorf("public key %v, %v, want %s", k, err, public)
	}
	if _, err := NewKey([KeySize]byte{}); !errors.Is(err, ErrKey) {
		t.Errorf("a key of zeros: %v, want ErrKey", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := boardConfig(1)
	said, err := json.Marshal([]any{c.Key, c.Hello})
	if err != nil {
		t.Fatal(err)
	}
	text := string(said) + fmt.Sprintf("%v %+v %#v %s %v", c.Key, c.Key, c.Key, c.Key, &c.Key) + fmt.Sprintf("%v %+v %#v %s", c.Hello, c.Hello, c.Hello, c.Hello)
	secret := c.Key.private.Bytes()
	for _, s := range []string{PublicKey(secret).String(), fmt.Sprint(secret[:4]), testHello.JoinToken} {
		if strings.Contains(text, strings.Trim(s, "[]")) {
			t.Errorf("%q is in %s", s, text)
		}
	}
	if !strings.Contains(text, c.Key.Public.String()) || !strings.Contains(text, testHello.NodeName) {
		t.Errorf("nothing is known of the key and the board: %s", text)
	}
}
