// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/picolet/picolet/board/filestore"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

// learnedKeys is the file in which a node keeps what it has learned of the gateway's
// keys: the key that it was started with, and the two that it trusts since.
const learnedKeys = "gateway-keys"

// keepGatewayKeys has a node trust the keys that it has learned, and learn more. What was
// learned counts while the node is started with the same key.
func keepGatewayKeys(c *linked.Config, dir string) error {
	store, err := filestore.New(filepath.Join(dir, learnedKeys))
	if err != nil {
		return err
	}
	given := c.GatewayKey
	var record [3 * noise.KeySize]byte
	n, err := store.Load(record[:])
	if err != nil {
		return fmt.Errorf("the gateway's keys that this node has learned: %w", err)
	}
	if n == len(record) && bytes.Equal(record[:noise.KeySize], given[:]) {
		c.GatewayKey = noise.PublicKey(record[noise.KeySize:])
		c.NextKey = noise.PublicKey(record[2*noise.KeySize:])
	}
	c.StoreKeys = func(known, next noise.PublicKey) error {
		return store.Save(bytes.Join([][]byte{given[:], known[:], next[:]}, nil))
	}
	return nil
}
