// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/picolet/picolet/board/filestore"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

func TestNodeKeepsGatewayKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	given, second, third := noise.PublicKey{1}, noise.PublicKey{2}, noise.PublicKey{3}
	start := func(with noise.PublicKey) linked.Config {
		t.Helper()
		c := linked.Config{GatewayKey: with}
		if err := keepGatewayKeys(&c, dir); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, step := range [][2]noise.PublicKey{{given, {}}, {given, second}, {second, {}}, {second, third}} {
		c := start(given)
		if err := c.StoreKeys(step[0], step[1]); err != nil {
			t.Fatal(err)
		}
		if c = start(given); c.GatewayKey != step[0] || c.NextKey != step[1] {
			t.Errorf("started again with %v, %v, want %v", c.GatewayKey, c.NextKey, step)
		}
	}
	if c := start(third); c.GatewayKey != third || c.NextKey != (noise.PublicKey{}) {
		t.Errorf("with another --gateway-key: %v, %v; what was learned under the old one must not count", c.GatewayKey, c.NextKey)
	}
	if err := os.WriteFile(filepath.Join(dir, learnedKeys), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keepGatewayKeys(&linked.Config{GatewayKey: given}, dir); !errors.Is(err, filestore.ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
}
