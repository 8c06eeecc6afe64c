// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// clockFile is where TinyGo fixes the clock of an RP2040. All that depends on it is
// computed from there when an image is compiled: the PLL, the core's voltage, the
// dividers of UART, PWM and PIO.
const clockFile = "src/machine/machine_rp2_2040.go"

// ownClock is the line there.
var ownClock = []byte("cpuFreq          = 200 * MHz\n")

// WithClock returns a compiler for boards whose processor runs at that many MHz, 16 to
// 133, which the data sheet of the RP2040 allows (2.15.3). It is the same compiler with
// a TINYGOROOT of links to its own, in which one constant differs.
func (c Compiler) WithClock(ctx context.Context, megahertz int) (Compiler, error) {
	if megahertz < 16 || megahertz > 133 {
		return Compiler{}, fmt.Errorf("clock of %d MHz: choose 16 to 133", megahertz)
	}
	said, err := c.Command(ctx, "env", "TINYGOROOT").Output()
	if err != nil {
		return Compiler{}, fmt.Errorf("%s env TINYGOROOT: %w", c.Path, err)
	}
	root := strings.TrimSpace(string(said))
	own, err := os.ReadFile(filepath.Join(root, clockFile))
	if err != nil {
		return Compiler{}, fmt.Errorf("clock of TinyGo's RP2040: %w", err)
	}
	changed, err := withClock(own, megahertz)
	if err != nil {
		return Compiler{}, err
	}
	c.Root, err = rootWith(filepath.Dir(c.Library), root, changed)
	return c, err
}

// withClock replaces the clock in clockFile.
func withClock(source []byte, megahertz int) ([]byte, error) {
	if bytes.Count(source, ownClock) != 1 {
		return nil, fmt.Errorf("%s does not say %q: adapt this package to TinyGo %s", clockFile, bytes.TrimSpace(ownClock), Version)
	}
	return bytes.Replace(source, ownClock, fmt.Appendf(nil, "cpuFreq = %d * MHz\n", megahertz), 1), nil
}

// rootWith returns a tree in the cache that is like root, but for clockFile. It is made
// once.
func rootWith(cache, root string, changed []byte) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", root, changed))
	dir := filepath.Join(cache, "clock-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work, err := os.MkdirTemp(cache, ".linking-")
	if err != nil {
		return "", fmt.Errorf("clock of TinyGo's RP2040: %w", err)
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "root")
	if err := linkFiles(tree, root, map[string][]byte{clockFile: changed}); err != nil {
		return "", fmt.Errorf("clock of TinyGo's RP2040: %w", err)
	}
	// Another process may have been first with the same tree.
	if err := os.Rename(tree, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("clock of TinyGo's RP2040: %w", err)
	}
	return dir, nil
}

// linkFiles makes dir a tree of directories like original's, of links to its files, but
// for those that are given. TinyGo does not look into directories that are links.
func linkFiles(dir, original string, given map[string][]byte) error {
	return fs.WalkDir(os.DirFS(original), ".", func(name string, d fs.DirEntry, err error) error {
		to := filepath.Join(dir, name)
		data, isGiven := given[name]
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case isGiven:
			return os.WriteFile(to, data, 0o644)
		}
		return os.Symlink(filepath.Join(original, name), to)
	})
}
