// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// replaced is what stands in for packages of Go's standard library. TinyGo has
// no place of its own for these: it takes them from GOROOT.
//
//go:embed library
var replaced embed.FS

// replacedPackage is the one package of it.
const replacedPackage = "src/log/slog"

// makeLibrary returns a GOROOT like Go's, but for what is replaced. It is a tree
// of links in the cache, made once.
func (b build) makeLibrary(goroot, goVersion string) (string, error) {
	source, err := replaced.ReadFile("library/" + replacedPackage + "/slog.go")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", goroot, goVersion, source))
	dir := filepath.Join(b.cache, "library-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", fmt.Errorf("library for TinyGo: %w; set XDG_CACHE_HOME to a directory that you may write", err)
	}
	// Not among the unfinished compilers: whoever builds one removes those.
	work, err := os.MkdirTemp(b.cache, ".linking-")
	if err != nil {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "library")
	if err := linkAllBut(tree, goroot, replacedPackage); err != nil {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tree, replacedPackage, "slog.go"), source, 0o644); err != nil {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	// Another process may have been first with the same tree.
	if err := os.Rename(tree, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	return dir, nil
}

// linkAllBut makes a directory of links to all that is in another, but for one
// directory at a path in it, which it makes and leaves empty.
func linkAllBut(dir, original, path string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil || path == "" {
		return err
	}
	first, rest, _ := strings.Cut(path, "/")
	entries, err := os.ReadDir(original)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == first {
			continue
		}
		if err := os.Symlink(filepath.Join(original, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return linkAllBut(filepath.Join(dir, first), filepath.Join(original, first), rest)
}
