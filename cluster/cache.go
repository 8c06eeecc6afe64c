// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	binaryName  = "picolet-controlplane"
	kubectlName = "kubectl"
	// BinaryEnv names the environment variable that holds the path of a binary.
	BinaryEnv = "PICOLET_CONTROLPLANE"
	// VersionEnv names the environment variable that selects the Kubernetes line.
	VersionEnv = "KUBERNETES"
	// keptBuilds is how many builds the cache keeps.
	keptBuilds = 4
	// lockInterval is how often a lock that another process holds is tried again.
	lockInterval = 100 * time.Millisecond
)

// ErrNotBuilt says that there is no binary of the control plane yet.
var ErrNotBuilt = errors.New("the control plane is not built yet: run `make controlplane` (several minutes the first time), or set " +
	BinaryEnv + " to the path of a " + binaryName)

// Binary is a control plane that can be started.
type Binary struct {
	// Path is the executable, for Options.Binary.
	Path string
	// Version is its Kubernetes version, for example 1.37.2; empty when unknown.
	Version string
}

// FindOptions say where to look for a binary.
type FindOptions struct {
	// Path is a binary to use. Optional [$PICOLET_CONTROLPLANE, else the cache].
	Path string
	// Source is the directory of the controlplane module; only a build of exactly this
	// source is found in the cache then. Optional [the newest build of the version].
	Source string
	// Version is a Kubernetes version or line, for example 1.36. Optional [$KUBERNETES,
	// else the newest build, or the module's own version].
	Version string
	// CacheDir holds the builds. Optional [picolet/controlplane in os.UserCacheDir].
	CacheDir string
}

// Find finds a binary that exists already. The error is ErrNotBuilt when there is
// none in the cache.
func Find(ctx context.Context, o FindOptions) (Binary, error) {
	for _, path := range []string{o.Path, os.Getenv(BinaryEnv)} {
		if path != "" {
			return checkBinary(path)
		}
	}
	if o.Source != "" {
		b, err := newBuild(ctx, BuildOptions{Source: o.Source, Version: o.Version, CacheDir: o.CacheDir})
		if err != nil {
			return Binary{}, err
		}
		return b.find()
	}
	dir, err := cacheDir(o.CacheDir)
	if err != nil {
		return Binary{}, err
	}
	return newest(dir, versionOr(o.Version))
}

func checkBinary(path string) (Binary, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Binary{}, fmt.Errorf("control plane: %w; `make controlplane` builds one", err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return Binary{}, fmt.Errorf("control plane: %s is no executable; `make controlplane` builds one", path)
	}
	return Binary{Path: path}, nil
}

func versionOr(version string) string {
	if version == "" {
		version = os.Getenv(VersionEnv)
	}
	return strings.TrimPrefix(version, "v")
}

func cacheDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache of built control planes: %w; set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(dir, "picolet", "controlplane"), nil
}

// entry is a build in the cache: a directory named <version>-<hash>.
type entry struct {
	name string
	used time.Time
}

var entryName = regexp.MustCompile(`^([0-9]+\.[0-9]+\.[0-9][0-9A-Za-z.-]*)-([0-9a-f]{16})$`)

// entries lists the builds in a cache, the one that was used last first.
func entries(cache string) ([]entry, error) {
	found, err := os.ReadDir(cache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cache of built control planes: %w", err)
	}
	var list []entry
	for _, f := range found {
		if !entryName.MatchString(f.Name()) {
			continue
		}
		if info, err := f.Info(); err == nil {
			list = append(list, entry{f.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return b.used.Compare(a.used) })
	return list, nil
}

// newest returns the build of a version or line that was used last.
func newest(cache, version string) (Binary, error) {
	list, err := entries(cache)
	if err != nil {
		return Binary{}, err
	}
	for _, e := range list {
		of := entryName.FindStringSubmatch(e.name)[1]
		if !isOfLine(of, version) {
			continue
		}
		b, err := checkBinary(filepath.Join(cache, e.name, binaryName))
		if err == nil {
			b.Version = of
			return b, nil
		}
	}
	return Binary{}, ErrNotBuilt
}

// isOfLine tells whether version 1.37.2 is asked for by 1.37.2, 1.37 or nothing.
func isOfLine(version, line string) bool {
	return line == "" || version == line || strings.HasPrefix(version, line+".")
}

// prune removes all but the builds that were used last. A running control plane does
// not need its file any more.
func prune(cache string) error {
	list, err := entries(cache)
	if err != nil {
		return err
	}
	for i, e := range list {
		if i < keptBuilds {
			continue
		}
		if err := os.RemoveAll(filepath.Join(cache, e.name)); err != nil {
			return fmt.Errorf("cache of built control planes: %w", err)
		}
	}
	return nil
}

// lock takes a lock file, waiting for the process that has it. The lock goes with
// the returned function, or with this process.
func lock(ctx context.Context, name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cache of built control planes: %w", err)
	}
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another build of the control plane: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// hashSource hashes the files that a build reads, and what else decides its result.
func hashSource(dir string, modFile string, also ...string) (string, error) {
	h := sha256.New()
	for _, s := range also {
		fmt.Fprintf(h, "%q\n", s)
	}
	sumFile := strings.TrimSuffix(modFile, ".mod") + ".sum"
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		source := strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
		if !source && name != modFile && name != sumFile {
			return nil
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%q %d\n", filepath.ToSlash(name), len(data))
		h.Write(data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("source of the control plane: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
