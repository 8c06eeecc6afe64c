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
	"path"
	"path/filepath"
	"strings"
)

// replaced is what stands in for packages of Go's standard library, whole ones: a
// package with one file there has no other. TinyGo has no place of its own for
// these: it takes them from GOROOT.
//
//go:embed library
var replaced embed.FS

// makeLibrary returns a GOROOT like Go's, but for what is replaced. It is a tree
// of links in the cache, made once.
func (b build) makeLibrary(goroot, goVersion string) (string, error) {
	files, sum, err := replacements(goroot, goVersion)
	if err != nil {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	dir := filepath.Join(b.cache, "library-"+sum)
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
	if err := makeTree(tree, goroot, files); err != nil {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	// Another process may have been first with the same tree.
	if err := os.Rename(tree, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("library for TinyGo: %w", err)
	}
	return dir, nil
}

// replacements returns the files that replace some of GOROOT's, by their paths in
// it, and a name for the library that they make of one.
func replacements(goroot, goVersion string) (files map[string][]byte, sum string, err error) {
	files = map[string][]byte{}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", goroot, goVersion)
	err = fs.WalkDir(replaced, "library", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := replaced.ReadFile(name)
		fmt.Fprintf(h, "%q %q\n", name, data)
		files[strings.TrimPrefix(name, "library/")] = data
		return err
	})
	return files, hex.EncodeToString(h.Sum(nil)[:8]), err
}

// makeTree makes a GOROOT of links to another and of files. A package of which one
// file is replaced has nothing of the other's.
func makeTree(dir, goroot string, files map[string][]byte) error {
	packages := map[string]bool{}
	for name := range files {
		packages[path.Dir(name)] = true
	}
	if err := linkAllBut(dir, goroot, ".", packages); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// linkAllBut makes dir/at a directory of links to all that is in original/at, but
// for packages: it makes those, with the links to what lies below them.
func linkAllBut(dir, original, at string, packages map[string]bool) error {
	if err := os.MkdirAll(filepath.Join(dir, at), 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(original, at))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(at, e.Name())
		switch {
		case holds(name, packages):
			err = linkAllBut(dir, original, name, packages)
		case e.IsDir() || !packages[at]:
			err = os.Symlink(filepath.Join(original, name), filepath.Join(dir, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether one of packages is the directory name, or below it.
func holds(name string, packages map[string]bool) bool {
	for p := range packages {
		if p == name || strings.HasPrefix(p, name+"/") {
			return true
		}
	}
	return false
}
