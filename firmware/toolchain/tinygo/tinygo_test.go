// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
)

func TestVersionIsReadFromWhatTinyGoSays(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"tinygo version 0.41.1 linux/amd64 (using go version go1.26.8 and LLVM version 19.1.7)\n": "0.41.1",
		"tinygo version 0.42.0-dev-1a2b3c4 darwin/arm64 (using go version go1.26)\n":              "0.42.0-dev-1a2b3c4",
		"tinygo version 0.41 linux/amd64":                                                         "",
		"go version go1.26.8 linux/amd64":                                                         "",
		"":                                                                                        "",
		"x\ntinygo version 0.41.1 linux/a":                                                        "",
	} {
		got, err := parseVersion(said)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("parseVersion(%q) = %q, %v, want %q", said, got, err, want)
		}
	}
}

// fakeTinyGo puts a program named tinygo on PATH that says its version.
func fakeTinyGo(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "tinygo")
	script := "#!/bin/sh\necho 'tinygo version " + version + " linux/amd64 (using go version go1.26.8 and LLVM version 19.1.7)'\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return path
}

func TestFindTakesTheRightVersionFromPath(t *testing.T) {
	path := fakeTinyGo(t, "0.41.2")
	got, err := Find(t.Context(), Options{CacheDir: t.TempDir()})
	if got.Path != path || got.Version != "0.41.2" || err != nil {
		t.Errorf("Find = %v, %v, want 0.41.2 at %s", got, err, path)
	}
}

func TestFindPassesByOtherVersionsOnPath(t *testing.T) {
	for _, version := range []string{"0.40.1", "0.42.0", "0.4", "1.41.1"} {
		fakeTinyGo(t, version)
		if got, err := Find(t.Context(), Options{CacheDir: t.TempDir()}); !errors.Is(err, ErrNotBuilt) {
			t.Errorf("with %s on PATH, Find = %v, %v, want ErrNotBuilt", version, got, err)
		}
	}
}

// cached makes a build whose compiler is in the cache.
func cached(t *testing.T) build {
	t.Helper()
	b, err := newBuild(t.Context(), Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(b.dir(), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "tinygo"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFindTakesTheCompilerThatWasBuilt(t *testing.T) {
	fakeTinyGo(t, "0.40.0")
	b := cached(t)
	if name := filepath.Base(b.dir()); !regexp.MustCompile(`^0\.41\.1-[0-9a-f]{16}$`).MatchString(name) {
		t.Errorf("the folder in the cache is %s", name)
	}
	for name, get := range map[string]func() (Compiler, error){
		"Find": func() (Compiler, error) { return Find(t.Context(), Options{CacheDir: b.cache}) },
		"Get":  func() (Compiler, error) { return Get(t.Context(), Options{CacheDir: b.cache}) },
	} {
		got, err := get()
		if path := filepath.Join(b.dir(), "bin", "tinygo"); got.Path != path || got.Version != Version || filepath.Dir(got.Library) != b.cache || err != nil {
			t.Errorf("%s = %v, %v, want %s at %s and a library beside it", name, got, err, Version, path)
		}
	}
}

func TestBuildWaitsForAnotherAndTakesItsResult(t *testing.T) {
	t.Parallel()
	b := cached(t)
	synctest.Test(t, func(t *testing.T) {
		other := flock.New(filepath.Join(b.cache, ".lock"))
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		var finished atomic.Bool
		go func() {
			defer finished.Store(true)
			if c, err := b.get(t.Context()); err != nil || c.Version != Version {
				t.Errorf("get = %v, %v", c, err)
			}
		}()
		synctest.Wait()
		if finished.Load() {
			t.Error("get did not wait for the lock")
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lockInterval)
		synctest.Wait()
		if !finished.Load() {
			t.Error("get does not see that the lock is free")
		}
	})
}

func TestWaitingForAnotherBuildCanBeEnded(t *testing.T) {
	t.Parallel()
	b := cached(t)
	other := flock.New(filepath.Join(b.cache, ".lock"))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := b.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("get = %v, %v, want context.Canceled", c, err)
	}
}

func TestUnfinishedBuildsAreRemovedAndFinishedOnesKept(t *testing.T) {
	t.Parallel()
	b := cached(t)
	unfinished := filepath.Join(b.cache, unfinishedPrefix+"123", "root", "bin")
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.removeUnfinished(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.cache, unfinishedPrefix+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := b.find(); err != nil {
		t.Errorf("the finished build is gone: %v", err)
	}
}

func TestOnlyTheLastBuildsAreKept(t *testing.T) {
	t.Parallel()
	b := build{cache: t.TempDir()}
	now := time.Now()
	for i, name := range []string{"0.41.1-old", "0.40.0-new", "0.42.0-older", "0.41.1-newest", "0.41.1-third", ".building-1", "mine"} {
		dir := filepath.Join(b.cache, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		age := []time.Duration{40, 20, 50, 10, 30, 90, 90}[i] * time.Hour
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.prune(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(b.cache)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range left {
		got = append(got, d.Name())
	}
	want := []string{".building-1", "0.40.0-new", "0.41.1-newest", "0.41.1-third", "mine"}
	if !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
}
