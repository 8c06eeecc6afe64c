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

// keyFile reads the private key in a file, or makes one and writes it there, for its
// owner alone to read. made tells which.
func keyFile(path string) (key noise.Key, made bool, err error) {
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
	private, err := provision.ParseKey(text)
	if err == nil {
		key, err = noise.NewKey(private)
	}
	if err != nil {
		return key, false, fmt.Errorf("%s holds no private key: %w", path, err)
	}
	return key, false, nil
}

func makeKeyFile(path string) (noise.Key, error) {
	private, err := noise.GenerateKey(rand.Reader)
	if err != nil {
		return noise.Key{}, err
	}
	key, err := noise.NewKey(private)
	if err != nil {
		return noise.Key{}, err
	}
	return key, writeSecret(path, base64.StdEncoding.EncodeToString(private[:])+"\n")
}

// parsePublicKey reads the key that a flag gives.
func parsePublicKey(flag, text string) (noise.PublicKey, error) {
	k, err := provision.ParseKey(strings.TrimSpace(text))
	if err != nil {
		return noise.PublicKey{}, usagef("--%s: %v", flag, err)
	}
	return k, nil
}
