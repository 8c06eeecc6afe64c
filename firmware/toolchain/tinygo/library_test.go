// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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

func TestLibraryIsGosButForOnePackage(t *testing.T) {
	t.Parallel()
	dir, goroot := library(t)
	for _, path := range []string{"VERSION", "bin", "src/fmt/print.go", "src/log/log.go", "src/log/internal"} {
		got, err := filepath.EvalSymlinks(filepath.Join(dir, path))
		if want, _ := filepath.EvalSymlinks(filepath.Join(goroot, path)); err != nil || got != want {
			t.Errorf("%s leads to %s, %v, want %s", path, got, err, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, replacedPackage, "*"))
	if err != nil || len(files) != 1 || filepath.Base(files[0]) != "slog.go" {
		t.Errorf("the replaced package has %v, %v", files, err)
	}
}

// TestLibraryIsTakenByGo: the go command finds the package in it, with no fmt below it.
func TestLibraryIsTakenByGo(t *testing.T) {
	t.Parallel()
	dir, _ := library(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "log/slog")
	cmd.Env = append(os.Environ(), "GOROOT="+dir, "GOWORK=off")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, line := range strings.Fields(string(said)) {
		if line == "fmt" || line == "encoding/json" || line == "unicode" {
			t.Errorf("package slog brings %s", line)
		}
	}
}

func TestLibraryIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := build{cache: t.TempDir()}
	goroot := t.TempDir()
	for _, dir := range []string{"bin", "src/log/slog", "src/fmt"} {
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
