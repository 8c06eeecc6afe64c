// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeTools puts a node and an npm on PATH. npm does what the script says in the
// directory that it is to fill.
func fakeTools(t *testing.T, nodeVersion, npm string) {
	t.Helper()
	bin := t.TempDir()
	for name, script := range map[string]string{"node": "echo " + nodeVersion, "npm": npm} {
		if script == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+"/bin"+string(os.PathListSeparator)+"/usr/bin")
}

func TestInstallOnce(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	fakeTools(t, "v20.1.0", `echo "$@" >> `+log+`; test -f rp2040/pico-w.js && ! test -e rp2040/pico-w.test.js && mkdir node_modules`)
	cache := t.TempDir()
	stale := filepath.Join(cache, "."+"new-1")
	if err := os.Mkdir(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	var steps []string
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			in, err := Install(t.Context(), InstallOptions{CacheDir: cache, Progress: func(s string) {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, s)
			}})
			if err != nil || !in.isWhole() {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
	all.Wait()
	said, err := os.ReadFile(log)
	if err != nil || strings.Count(string(said), "\n") != 1 || !strings.Contains(string(said), "ci --omit=dev --ignore-scripts") {
		t.Errorf("npm was run with %q, %v", said, err)
	}
	if len(steps) != 1 || !strings.Contains(steps[0], "Installing the emulator") {
		t.Errorf("told %q", steps)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an installation that was cut has left is there: %v", err)
	}
}

func TestInstallThatFailsLeavesNothing(t *testing.T) {
	fakeTools(t, "v22.0.0", `echo the registry is on fire >&2; exit 3`)
	cache := t.TempDir()
	_, err := Install(t.Context(), InstallOptions{CacheDir: cache})
	if err == nil || !strings.Contains(err.Error(), "the registry is on fire") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 || left[0].Name() != "lock" {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestInstallNeedsNode(t *testing.T) {
	for _, version := range []string{"v18.20.0", "nonsense"} {
		fakeTools(t, version, "exit 0")
		if _, err := Install(t.Context(), InstallOptions{CacheDir: t.TempDir()}); !errors.Is(err, ErrNoNode) || !strings.Contains(err.Error(), version) {
			t.Errorf("%s: %v", version, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Install(t.Context(), InstallOptions{CacheDir: t.TempDir()}); !errors.Is(err, ErrNoNode) {
		t.Errorf("without node: %v", err)
	}
}

func TestOldInstallationsAreRemoved(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for i := range 2 * keptInstallations {
		dir := filepath.Join(cache, strings.Repeat(string(rune('a'+i)), 16))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		used := time.Unix(int64(1e9+i), 0)
		if err := os.Chtimes(dir, used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(cache); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != keptInstallations || left[0].Name()[0] != 'a'+keptInstallations {
		t.Errorf("left %v, %v", left, err)
	}
}
