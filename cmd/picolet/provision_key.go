// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"fmt"

	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/settings"
)

// giveKey makes a board's key, if --make-key asks for that.
func (f *provisionFlags) giveKey(s *settings.Settings) (err error) {
	var none [settings.KeySize]byte
	switch {
	case !f.makeKey:
		return nil
	case s.GatewayKey == none:
		return usagef("--make-key goes with --gateway-key")
	case s.BoardKey != none:
		return usagef("--make-key: a board has a key already, by --board-key-file or the column board-key")
	}
	s.BoardKey, err = noise.GenerateKey(rand.Reader)
	return err
}

// describeKey tells by which key the gateway will know a board; "" for one that
// makes its own or has none.
func describeKey(s settings.Settings) (string, error) {
	if s.BoardKey == [settings.KeySize]byte{} {
		return "", nil
	}
	key, err := noise.NewKey(s.BoardKey)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The board is device %s, with public key %s.\n", gateway.Fingerprint(key.Public), publicKeyText(key.Public)), nil
}
