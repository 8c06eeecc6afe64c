// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// sources are the emulator's own files; rp2040js comes from npm.
//
//go:embed .npmrc package.json package-lock.json *.js chip/*.js process/*.js rp2040/*.js
var sources embed.FS

const (
	oldestNode   = 20
	toolTimeout  = 10 * time.Second
	lockInterval = 100 * time.Millisecond
	processName  = "process.js"
	freshPrefix  = ".new-"
	lockName     = "lock"
	// keptInstallations is how many the cache keeps, of this picolet and of others.
	keptInstallations = 4
)

// ErrNoNode says that this machine lacks Node.js or npm.
var ErrNoNode = errors.New("the emulator needs Node.js 20 or later and npm on PATH: apt-get install nodejs npm")

// Installation is a copy of the emulator's JavaScript with what it depends on.
type Installation struct {
	node string // the executable
	dir  string
}

// InstallOptions say where the emulator is kept.
type InstallOptions struct {
	// CacheDir holds the installations. Optional [picolet/emulator in
	// os.UserCacheDir].
	CacheDir string
	// Progress is told what takes time. It is called by one goroutine. Optional.
	Progress func(step string)
}

// Install finds the emulator in the cache, or installs it there, for which npm
// needs its registry once. Of several processes one does the work and the others
// wait. The error wraps ErrNoNode if Node.js or npm is missing.
func Install(ctx context.Context, o InstallOptions) (Installation, error) {
	node, err := findNode(ctx)
	if err != nil {
		return Installation{}, err
	}
	cache, err := o.cacheDir()
	if err != nil {
		return Installation{}, err
	}
	hash, err := hashSources()
	if err != nil {
		return Installation{}, err
	}
	in := Installation{node: node, dir: filepath.Join(cache, hash)}
	if in.isWhole() {
		return in, nil
	}
	return in, in.install(ctx, o.Progress)
}

func (o InstallOptions) cacheDir() (string, error) {
	if o.CacheDir != "" {
		return filepath.Abs(o.CacheDir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache of the emulator: %w; set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(dir, "picolet", "emulator"), nil
}

// findNode returns the path of a Node.js that is new enough.
func findNode(ctx context.Context) (string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNoNode, err)
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	said, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", node, err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(said)), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", fmt.Errorf("%w (%s is version %q)", ErrNoNode, node, strings.TrimSpace(string(said)))
	}
	return node, nil
}

// eachSource calls f with every file that an installation has.
func eachSource(f func(name string, data []byte) error) error {
	return fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".test.js") {
			return err
		}
		data, err := sources.ReadFile(name)
		if err != nil {
			return err
		}
		return f(name, data)
	})
}

func hashSources() (string, error) {
	h := sha256.New()
	err := eachSource(func(name string, data []byte) error {
		fmt.Fprintf(h, "%q %d\n", name, len(data))
		_, err := h.Write(data)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// isWhole tells whether the installation is there: its directory gets its name
// when everything is in it.
func (in Installation) isWhole() bool {
	info, err := os.Stat(filepath.Join(in.dir, processName))
	return err == nil && info.Mode().IsRegular()
}

func (in Installation) install(ctx context.Context, progress func(string)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNoNode, err)
	}
	cache := filepath.Dir(in.dir)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	lock := flock.New(filepath.Join(cache, lockName))
	if _, err := lock.TryLockContext(ctx, lockInterval); err != nil {
		return fmt.Errorf("wait for another installation of the emulator: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if in.isWhole() {
		return nil
	}
	if err := prune(cache); err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	if progress != nil {
		progress("Installing the emulator, once; npm fetches what it depends on")
	}
	return in.build(ctx, npm)
}

// build makes the installation beside its place and moves it there.
func (in Installation) build(ctx context.Context, npm string) (err error) {
	fresh, err := os.MkdirTemp(filepath.Dir(in.dir), freshPrefix+"*")
	if err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := writeSources(fresh); err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	cmd := exec.CommandContext(ctx, npm, "ci", "--omit=dev", "--ignore-scripts", "--no-progress")
	cmd.Dir = fresh
	cmd.WaitDelay = toolTimeout
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci for the emulator: %w; it says:\n%s", err, lastLines(string(said)))
	}
	if err := os.RemoveAll(in.dir); err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	if err := os.Rename(fresh, in.dir); err != nil {
		return fmt.Errorf("cache of the emulator: %w", err)
	}
	return nil
}

// prune removes what installations that were cut have left, and the oldest ones.
// It is called under the lock.
func prune(cache string) error {
	found, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	made := map[string]time.Time{}
	var names []string
	for _, f := range found {
		info, err := f.Info()
		if err != nil || !f.IsDir() {
			continue
		}
		if strings.HasPrefix(f.Name(), freshPrefix) {
			err = os.RemoveAll(filepath.Join(cache, f.Name()))
		} else {
			names, made[f.Name()] = append(names, f.Name()), info.ModTime()
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(names, func(a, b string) int { return made[b].Compare(made[a]) })
	for _, name := range names[min(len(names), keptInstallations):] {
		if err := os.RemoveAll(filepath.Join(cache, name)); err != nil {
			return err
		}
	}
	return nil
}

func writeSources(dir string) error {
	return eachSource(func(name string, data []byte) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	})
}
