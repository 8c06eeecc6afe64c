// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tinygo finds a TinyGo compiler for the firmware, or builds one.
//
// A release of TinyGo on PATH is used as it is. Without one, TinyGo is built
// from its Go module against Debian's LLVM and kept in the user's cache. A Go
// module holds less than a release does: the files of the folder overlay, each saying
// which gap it fills, and two of Debian's source packages make up for it.
//
// The package builds compilers for Linux only, and installs Debian packages only
// for root: others are told the command.
package tinygo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// Version is the TinyGo that is built.
	Version = "0.41.1"
	// line is the versions that are accepted on PATH.
	line = "0.41."
)

// ErrNotBuilt says that there is no compiler yet.
var ErrNotBuilt = errors.New("no TinyGo " + line + "x on PATH and none built yet: run `go run ./toolchain` in the folder firmware (2 minutes, once)")

// Compiler is a TinyGo compiler.
type Compiler struct {
	// Path is the executable.
	Path string
	// Version is its version, for example 0.41.1.
	Version string
	// Library is the GOROOT with the standard library that it compiles.
	Library string
	// Root is the TINYGOROOT. Optional [the compiler's own].
	Root string
}

// Options say where to look for a compiler and how to build one.
type Options struct {
	// CacheDir holds the compilers that were built. Optional [picolet/tinygo in
	// os.UserCacheDir].
	CacheDir string
	// Progress is told what is being done. It is called by one goroutine. Optional.
	Progress func(step string)
}

// Find finds a compiler that exists already, on PATH or in the cache. The error
// is ErrNotBuilt if there is none.
func Find(ctx context.Context, o Options) (Compiler, error) {
	b, err := newBuild(ctx, o)
	if err != nil {
		return Compiler{}, err
	}
	if c, err := onPath(ctx); err == nil {
		return b.withLibrary(ctx, c)
	}
	c, err := b.find()
	if err != nil {
		return Compiler{}, err
	}
	return b.withLibrary(ctx, c)
}

// Get finds a compiler, or builds one. Of several processes that build at once,
// one does the work and the others wait.
func Get(ctx context.Context, o Options) (Compiler, error) {
	c, err := Find(ctx, o)
	if !errors.Is(err, ErrNotBuilt) {
		return c, err
	}
	b, err := newBuild(ctx, o)
	if err != nil {
		return Compiler{}, err
	}
	if c, err = b.get(ctx); err != nil {
		return Compiler{}, err
	}
	return b.withLibrary(ctx, c)
}

// Command returns the compiler's command with arguments, ended with ctx.
func (c Compiler) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, args...)
	cmd.Env = append(os.Environ(), "GOROOT="+c.Library)
	if c.Root != "" {
		cmd.Env = append(cmd.Env, "TINYGOROOT="+c.Root)
	}
	return cmd
}

// onPath returns the compiler on PATH if it is of the accepted line.
func onPath(ctx context.Context) (Compiler, error) {
	path, err := exec.LookPath("tinygo")
	if err != nil {
		return Compiler{}, ErrNotBuilt
	}
	said, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return Compiler{}, fmt.Errorf("%s version: %w", path, err)
	}
	version, err := parseVersion(string(said))
	if err != nil || !strings.HasPrefix(version, line) {
		return Compiler{}, ErrNotBuilt
	}
	return Compiler{Path: path, Version: version}, nil
}

// withLibrary gives a compiler its library.
func (b build) withLibrary(ctx context.Context, c Compiler) (Compiler, error) {
	said, err := goOutput(ctx, "", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return Compiler{}, err
	}
	goroot, version, _ := strings.Cut(strings.TrimSpace(said), "\n")
	c.Library, err = b.makeLibrary(goroot, version)
	return c, err
}

var versionLine = regexp.MustCompile(`^tinygo version ([0-9]+\.[0-9]+\.[0-9][^ ]*) `)

// parseVersion reads what `tinygo version` prints.
func parseVersion(said string) (string, error) {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return "", fmt.Errorf("%q is not what a TinyGo says of its version", said)
	}
	return m[1], nil
}

// build is a compiler to be: where it goes.
type build struct {
	cache    string
	name     string // of the directory in the cache
	progress func(string)
}

func newBuild(ctx context.Context, o Options) (build, error) {
	b := build{cache: o.CacheDir, progress: o.Progress}
	if b.progress == nil {
		b.progress = func(string) {}
	}
	if b.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return build{}, fmt.Errorf("cache of TinyGo compilers: %w; set XDG_CACHE_HOME or HOME", err)
		}
		b.cache = filepath.Join(dir, "picolet", "tinygo")
	}
	goVersion, err := goOutput(ctx, "", "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return build{}, err
	}
	hash, err := hashInputs(goVersion)
	if err != nil {
		return build{}, err
	}
	b.name = Version + "-" + hash
	return b, nil
}

// dir is where the finished compiler is.
func (b build) dir() string { return filepath.Join(b.cache, b.name) }

func (b build) find() (Compiler, error) {
	path := filepath.Join(b.dir(), "bin", "tinygo")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Compiler{}, ErrNotBuilt
	} else if err != nil {
		return Compiler{}, fmt.Errorf("cache of TinyGo compilers: %w", err)
	}
	return Compiler{Path: path, Version: Version}, nil
}
