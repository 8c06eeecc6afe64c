// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	// unfinishedPrefix begins the names of directories that builds under way write to.
	unfinishedPrefix = ".building-"
	// lockInterval is how often a lock that another process holds is tried again.
	lockInterval = 200 * time.Millisecond
	// keptBuilds is how many compilers the cache keeps, of some 45 MB each.
	keptBuilds   = 3
	tinygoModule = "github.com/tinygo-org/tinygo"
)

// get builds the compiler, unless another process was first.
func (b build) get(ctx context.Context) (Compiler, error) {
	if runtime.GOOS != "linux" {
		return Compiler{}, errors.New("TinyGo is built on Linux only: install TinyGo " + line + "x from https://tinygo.org and put it on PATH")
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return Compiler{}, fmt.Errorf("cache of TinyGo compilers: %w; set XDG_CACHE_HOME to a directory that you may write", err)
	}
	lock := flock.New(filepath.Join(b.cache, ".lock"))
	if _, err := lock.TryLockContext(ctx, lockInterval); err != nil {
		return Compiler{}, fmt.Errorf("wait for another build of TinyGo: %w", err)
	}
	defer lock.Close()
	if c, err := b.find(); !errors.Is(err, ErrNotBuilt) {
		return c, err
	}
	if err := b.removeUnfinished(); err != nil {
		return Compiler{}, err
	}
	if err := b.make(ctx); err != nil {
		return Compiler{}, err
	}
	if err := b.prune(); err != nil {
		return Compiler{}, err
	}
	return b.find()
}

// prune removes all but the compilers that were built last.
func (b build) prune() error {
	dirs, err := filepath.Glob(filepath.Join(b.cache, "[0-9]*-*"))
	if err != nil {
		return fmt.Errorf("cache of TinyGo compilers: %w", err)
	}
	built := map[string]time.Time{}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("cache of TinyGo compilers: %w", err)
		}
		built[dir] = info.ModTime()
	}
	slices.SortFunc(dirs, func(x, y string) int { return built[y].Compare(built[x]) })
	for _, dir := range dirs[min(keptBuilds, len(dirs)):] {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cache of TinyGo compilers: %w", err)
		}
	}
	return nil
}

// removeUnfinished removes what builds that were cut have left. The caller has
// the lock.
func (b build) removeUnfinished() error {
	left, err := filepath.Glob(filepath.Join(b.cache, unfinishedPrefix+"*"))
	if err != nil {
		return fmt.Errorf("cache of TinyGo compilers: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cache of TinyGo compilers: %w", err)
		}
	}
	return nil
}

// make builds in a directory of its own, which gets its name once it is whole.
func (b build) make(ctx context.Context) error {
	work, err := os.MkdirTemp(b.cache, unfinishedPrefix)
	if err != nil {
		return fmt.Errorf("cache of TinyGo compilers: %w", err)
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	if err := installPackages(ctx, b.progress); err != nil {
		return err
	}
	b.progress("Download the sources of compiler-rt and musl")
	if err := fetchSources(ctx, filepath.Join(work, "sources"), root); err != nil {
		return err
	}
	b.progress("Compile TinyGo " + Version)
	if err := compile(ctx, filepath.Join(work, "module"), root); err != nil {
		return err
	}
	if err := copyOverlay(root); err != nil {
		return err
	}
	if err := useOwnLibc(root); err != nil {
		return err
	}
	if err := os.Rename(root, b.dir()); err != nil {
		return fmt.Errorf("cache of TinyGo compilers: %w", err)
	}
	return nil
}

// compile builds TinyGo's executable and copies its library and targets to root,
// from which the executable finds them.
func compile(ctx context.Context, module, root string) error {
	if err := writeModule(module); err != nil {
		return err
	}
	_, err := goOutput(ctx, module, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=llvm19",
		"-o="+filepath.Join(root, "bin", "tinygo"), tinygoModule)
	if err != nil {
		return err
	}
	source, err := goOutput(ctx, module, "list", "-m", "-f={{.Dir}}", tinygoModule)
	if err != nil {
		return err
	}
	for _, dir := range []string{"src", "targets"} {
		from := os.DirFS(filepath.Join(strings.TrimSpace(source), dir))
		if err := os.CopyFS(filepath.Join(root, dir), from); err != nil {
			return fmt.Errorf("copy TinyGo's %s: %w", dir, err)
		}
	}
	return nil
}

// writeModule writes the module that names TinyGo.
func writeModule(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("module of TinyGo: %w", err)
	}
	for from, to := range map[string]string{"compiler.mod": "go.mod", "compiler.sum": "go.sum"} {
		data, err := inputs.ReadFile(from)
		if err != nil {
			return fmt.Errorf("module of TinyGo: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o644); err != nil {
			return fmt.Errorf("module of TinyGo: %w", err)
		}
	}
	return nil
}

// goOutput runs the go command in a directory and returns what it prints.
func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// No workspace of the caller's; the C++ compiler that comes with the LLVM.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1", "CC=clang-19", "CXX=clang++-19")
	if dir != "" {
		cmd.Env = append(cmd.Env, "PWD="+dir)
	}
	return output(cmd, "install Go 1.26 or newer (https://go.dev/dl), and see that it can download modules (GOPROXY)")
}

// output runs a command. Its error says what the command said, and a hint.
func output(cmd *exec.Cmd, hint string) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err, said.String(), hint)
	}
	return string(out), nil
}
