// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	metricsServerModule = "sigs.k8s.io/metrics-server"
	// manifestDir is where that module keeps what its releases are made of.
	manifestDir = "manifests/base"
	// unfinishedPrefix begins the names of directories that builds write to.
	unfinishedPrefix = ".building-"
)

// Build builds the tools, unless they are there already, and removes older ones.
// It takes Go and, the first time, the network, 2 GB of disk and some minutes. Of
// several processes that build at once, one does the work and the others wait.
func Build(ctx context.Context, o Options) (Built, error) {
	cache, err := o.cacheDir()
	if err != nil {
		return Built{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Built{}, fmt.Errorf("cache of the tools: %w; set XDG_CACHE_HOME to a directory that you may write", err)
	}
	unlock, err := lock(filepath.Join(cache, ".lock"))
	if err != nil {
		return Built{}, err
	}
	defer unlock()
	if found, err := Find(o); !errors.Is(err, ErrNotBuilt) {
		return found, err
	}
	if err := o.make(ctx, cache); err != nil {
		return Built{}, err
	}
	return Find(o)
}

// lock waits for a lock that ends with this process.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cache of the tools: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// make builds in a directory of its own, which gets its name once it is whole. The
// caller has the lock.
func (o Options) make(ctx context.Context, cache string) error {
	target, err := o.target()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, unfinishedPrefix)
	if err != nil {
		return fmt.Errorf("cache of the tools: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := o.run(ctx, o.buildArgs(dir)...); err != nil {
		return err
	}
	if err := o.copyManifests(ctx, dir); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Rename(dir, target)); err != nil {
		return fmt.Errorf("cache of the tools: %w", err)
	}
	return prune(cache, filepath.Base(target))
}

// prune removes all builds but one, and what builds that were cut have left.
func prune(cache, kept string) error {
	found, err := os.ReadDir(cache)
	if err != nil {
		return fmt.Errorf("cache of the tools: %w", err)
	}
	for _, f := range found {
		if f.Name() == kept || !isBuild(f.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(cache, f.Name())); err != nil {
			return fmt.Errorf("cache of the tools: %w", err)
		}
	}
	return nil
}

// copyManifests takes the manifests from the module that was built.
func (o Options) copyManifests(ctx context.Context, dir string) error {
	source, err := o.run(ctx, "list", "-m", "-f={{.Dir}}", metricsServerModule)
	if err != nil {
		return err
	}
	for _, name := range manifestNames {
		text, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(source)), manifestDir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("manifests of metrics-server: %w", err)
		}
	}
	return nil
}

// run runs the go command in the module and returns what it prints.
func (o Options) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.Source
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0"), o.Env...)
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("build the tools: %w", context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("build the tools: %w; install Go 1.26 or newer (https://go.dev/dl) and put it on PATH", err)
	}
	return nil, fmt.Errorf("build the tools: %w\n%s\nthe first build downloads Go modules: connect to the network, or set GOPROXY", err, bytes.TrimSpace(said.Bytes()))
}
