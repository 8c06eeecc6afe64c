// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"context"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	boardslog "github.com/picolet/picolet/firmware/toolchain/tinygo/library/src/log/slog"
)

// library makes a library in a cache of its own.
func library(t *testing.T) (dir, goroot string) {
	t.Helper()
	b := build{cache: t.TempDir()}
	goroot, err := goOutput(t.Context(), "", "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	goroot = strings.TrimSpace(goroot)
	dir, err = b.makeLibrary(goroot, "go1.26")
	if err != nil {
		t.Fatal(err)
	}
	return dir, goroot
}

// goWith runs the go command with a library, with no C compiler: Go's own packages
// must do.
func goWith(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOROOT="+dir, "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, said)
	}
	return string(said)
}

// replacedPackages are the directories of what replaces some of GOROOT, with their files.
func replacedPackages(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := fs.WalkDir(replaced, "library", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			dir := strings.TrimPrefix(filepath.Dir(name), "library/")
			packages[dir] = append(packages[dir], filepath.Base(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func TestLibraryIsGosButForItsPackages(t *testing.T) {
	t.Parallel()
	dir, goroot := library(t)
	for _, path := range []string{
		"VERSION", "bin", "src/fmt/print.go", "src/log/log.go", "src/log/internal",
		"src/crypto/ecdh/x25519.go", "src/crypto/internal/fips140/sha256", "src/crypto/internal/fips140/edwards25519/field/fe.go",
	} {
		got, err := filepath.EvalSymlinks(filepath.Join(dir, path))
		if want, _ := filepath.EvalSymlinks(filepath.Join(goroot, path)); err != nil || got != want {
			t.Errorf("%s leads to %s, %v, want %s", path, got, err, want)
		}
	}
	for name, want := range replacedPackages(t) {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		var files []string
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".go") {
				files = append(files, e.Name())
			}
		}
		if err != nil || !slices.Equal(files, want) {
			t.Errorf("the replaced package %s has %v, %v, want %v", name, files, err, want)
		}
	}
}

// TestLibraryIsTakenByGo: the go command finds the packages in it, and below them
// nothing of what they are there to leave out.
func TestLibraryIsTakenByGo(t *testing.T) {
	t.Parallel()
	dir, _ := library(t)
	for name, unwanted := range map[string][]string{
		"log/slog":                    {"fmt", "encoding/json", "unicode"},
		"crypto/fips140":              {"internal/godebug"},
		"crypto/internal/fips140":     {"internal/godebug", "crypto/internal/fips140deps/godebug"},
		"crypto/internal/rand":        {"internal/godebug", "crypto/internal/fips140/drbg", "crypto/internal/sysrand"},
		"crypto/internal/fips140only": {"crypto/internal/fips140/sha3"},
		"crypto/internal/fips140hash": {"crypto/sha3"},
	} {
		deps := strings.Fields(goWith(t, dir, "list", "-deps", name))
		for _, u := range unwanted {
			if slices.Contains(deps, u) {
				t.Errorf("package %s brings %s", name, u)
			}
		}
	}
}

// TestLibraryKeepsTheHandshake: Go's own compiler takes the library, and with it
// handshakes of links are those of the Noise specification.
func TestLibraryKeepsTheHandshake(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiling the standard library takes long")
	}
	dir, _ := library(t)
	said := goWith(t, dir, "test", "-count=1", "-v", "-run=^TestHandshakeIsNoiseIK$|^TestHandshakeWithOtherKeys$", "github.com/picolet/picolet/link/noise")
	if passed := strings.Count(said, "\n--- PASS: "); passed != 2 {
		t.Errorf("%d tests passed, want 2:\n%s", passed, said)
	}
}

func TestLibraryIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := build{cache: t.TempDir()}
	goroot := t.TempDir()
	for _, dir := range slices.Concat([]string{"bin", "src/fmt"}, slices.Collect(maps.Keys(replacedPackages(t)))) {
		if err := os.MkdirAll(filepath.Join(goroot, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var dirs [8]string
	var wait sync.WaitGroup
	for i := range dirs {
		wait.Go(func() {
			var err error
			if dirs[i], err = b.makeLibrary(goroot, "go1.26"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, dir := range dirs {
		if dir != dirs[0] {
			t.Errorf("libraries at %s and %s", dir, dirs[0])
		}
	}
	if left, _ := os.ReadDir(b.cache); len(left) != 1 {
		t.Errorf("the cache holds %v, want the library alone", left)
	}
	if other, err := b.makeLibrary(goroot, "go1.27"); err != nil || other == dirs[0] {
		t.Errorf("the library of another Go is %s, %v", other, err)
	}
}

// A Go that has moved a package would not take what replaces it.
func TestLibraryOfAGoWithoutThePackageIsRefused(t *testing.T) {
	t.Parallel()
	b := build{cache: t.TempDir()}
	if dir, err := b.makeLibrary(t.TempDir(), "go1.99"); err == nil {
		t.Errorf("it is %s", dir)
	}
	if left, _ := os.ReadDir(b.cache); len(left) != 0 {
		t.Errorf("the cache holds %v", left)
	}
}

// The shim takes what the real package does.
func TestShimOfSlogSaysNothing(t *testing.T) {
	for level := slog.Level(-8); level < 12; level++ {
		want, _, _ := strings.Cut(strings.Split(level.String(), "+")[0], "-")
		if got := boardslog.Level(level).String(); got != want {
			t.Errorf("level %d is %s, want %s", level, got, want)
		}
	}
	var logger *boardslog.Logger
	if n := testing.AllocsPerRun(10, func() {
		logger.LogAttrs(context.Background(), boardslog.LevelError, "lost", boardslog.String("a", "b"), boardslog.Int("c", 1),
			boardslog.Int64("d", 1), boardslog.Uint64("e", 1), boardslog.Bool("f", true), boardslog.Duration("g", time.Second))
	}); n != 0 {
		t.Errorf("a record takes %v allocations", n)
	}
}
