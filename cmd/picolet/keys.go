// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/provision"
)

// publicKeyText is a public key as people copy it.
func publicKeyText(k noise.PublicKey) string { return base64.StdEncoding.EncodeToString(k[:]) }

// ownKey is a key pair that is kept in a file.
type ownKey struct {
	noise.Key
	private [noise.KeySize]byte
}

// keyFile reads the private key in a file, or makes one and writes it there, for its
// owner alone to read. made tells which.
func keyFile(path string) (key ownKey, made bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key, err = makeKeyFile(path)
		return key, true, err
	case err != nil:
		return key, false, err
	case info.Mode().Perm()&0o077 != 0:
		return key, false, fmt.Errorf("%s can be read by others: make a new key, or chmod 600 if nobody has read it", path)
	}
	text, err := readSecret("key-file", path)
	if err != nil {
		return key, false, err
	}
	if key.private, err = provision.ParseKey(text); err == nil {
		key.Key, err = noise.NewKey(key.private)
	}
	if err != nil {
		return key, false, fmt.Errorf("%s holds no private key: %w", path, err)
	}
	return key, false, nil
}

func makeKeyFile(path string) (key ownKey, err error) {
	if key.private, err = noise.GenerateKey(rand.Reader); err != nil {
		return key, err
	}
	if key.Key, err = noise.NewKey(key.private); err != nil {
		return key, err
	}
	return key, writeSecret(path, base64.StdEncoding.EncodeToString(key.private[:])+"\n")
}

// parsePublicKey reads the key that a flag gives.
func parsePublicKey(flag, text string) (noise.PublicKey, error) {
	k, err := provision.ParseKey(strings.TrimSpace(text))
	if err != nil {
		return noise.PublicKey{}, usagef("--%s: %v", flag, err)
	}
	return k, nil
}
