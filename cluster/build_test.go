// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/cluster"
)

// module writes a small stand-in for the controlplane module, which needs nothing
// from the network.
func module(t *testing.T) string {
	t.Helper()
	requireGo(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"main.go":      "package main\n\nfunc main() {} // " + dir + "\n", // in no build cache yet
		"main_test.go": "package main\n",
		"go.mod":       "module example.com/controlplane\n\ngo 1.24\n\nrequire k8s.io/kubernetes v1.37.2\n\nreplace k8s.io/kubernetes => ./kubernetes\n",
		"go-1.36.mod":  "module example.com/controlplane\n\ngo 1.24\n\nrequire k8s.io/kubernetes v1.36.3\n\nreplace k8s.io/kubernetes => ./kubernetes\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	write(t, filepath.Join(dir, "kubernetes", "go.mod"), "module k8s.io/kubernetes\n\ngo 1.24\n")
	return dir
}

func requireGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, o cluster.BuildOptions) cluster.Binary {
	t.Helper()
	b, err := cluster.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildKeepsTheResult(t *testing.T) {
	t.Parallel()
	o := cluster.BuildOptions{Source: module(t), Version: "1.37", CacheDir: filepath.Join(t.TempDir(), "cache")}
	find := cluster.FindOptions{Source: o.Source, Version: o.Version, CacheDir: o.CacheDir}
	if os.Getenv(cluster.BinaryEnv) == "" {
		if _, err := cluster.Find(t.Context(), find); !errors.Is(err, cluster.ErrNotBuilt) {
			t.Errorf("Find before the build: %v", err)
		}
	}
	var done, total int
	o.Progress = func(d, n int) { done, total = d, n }
	b := build(t, o)
	if b.Version != "1.37.2" || !strings.HasPrefix(filepath.Base(filepath.Dir(b.Path)), "1.37.2-") {
		t.Errorf("built %+v", b)
	}
	if done == 0 || done > total {
		t.Errorf("progress ended with %d of %d", done, total)
	}
	for _, name := range []string{b.Path, filepath.Join(filepath.Dir(b.Path), "kubectl")} {
		if out, err := exec.Command(name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	o.Progress = func(int, int) { t.Error("built again") }
	write(t, filepath.Join(o.Source, "main_test.go"), "package main\n\n// changed\n")
	if again := build(t, o); again != b {
		t.Errorf("second build %+v, first %+v", again, b)
	}
	if os.Getenv(cluster.BinaryEnv) == "" {
		for _, f := range []cluster.FindOptions{find, {Version: "1.37", CacheDir: o.CacheDir}} {
			if found, err := cluster.Find(t.Context(), f); err != nil || found != b {
				t.Errorf("Find(%+v) = %+v, %v", f, found, err)
			}
		}
	}
}

func TestBuildSelectsTheVersion(t *testing.T) {
	t.Parallel()
	source, cache := module(t), t.TempDir()
	b := build(t, cluster.BuildOptions{Source: source, Version: "v1.36", CacheDir: cache})
	if b.Version != "1.36.3" {
		t.Errorf("built %s, want 1.36.3", b.Version)
	}
	for _, version := range []string{"1.35", "1.37.9", "1.36.30", "2", "../1.36"} {
		_, err := cluster.Build(t.Context(), cluster.BuildOptions{Source: source, Version: version, CacheDir: cache})
		if err == nil || !strings.Contains(err.Error(), "update-mod.sh") {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

func TestBuildsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	o := cluster.BuildOptions{Source: module(t), Version: "1.37", CacheDir: t.TempDir()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	began := 0
	o.Progress = func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if done == 0 && total == 0 {
			began++
		}
	}
	for range 3 {
		wg.Go(func() {
			if _, err := cluster.Build(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if began != 1 {
		t.Errorf("%d builds, want 1", began)
	}
}

func TestBuildCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := cluster.BuildOptions{Source: module(t), Version: "1.37", CacheDir: t.TempDir(), Progress: func(int, int) { cancel() }}
	if _, err := cluster.Build(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestBuildPrunes(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for i, hash := range []string{"0000000000000001", "0000000000000002", "0000000000000003", "0000000000000004", "0000000000000005"} {
		dir := filepath.Join(cache, "1.37.1-"+hash)
		write(t, filepath.Join(dir, "picolet-controlplane"), "")
		if err := os.Chtimes(dir, old, old.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(cache, ".building-1", "left"), "")
	write(t, filepath.Join(cache, "mine", "file"), "")
	b := build(t, cluster.BuildOptions{Source: module(t), Version: "1.37", CacheDir: cache})
	var got []string
	found, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		got = append(got, f.Name())
	}
	want := []string{".lock", "1.37.1-0000000000000003", "1.37.1-0000000000000004", "1.37.1-0000000000000005", filepath.Base(filepath.Dir(b.Path)), "mine"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("cache holds %q, want %q", got, want)
	}
}

func TestBuildFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, content string
		want          []string
	}{
		"compiler":       {"main.go", "package main\n\nfunc main() { undefinedName() }\n", []string{"undefinedName", "compiler says"}},
		"go.mod":         {"go.mod", "module example.com/controlplane\n", []string{"update-mod.sh"}},
		"newer Go":       {"go.mod", "module example.com/controlplane\n\ngo 1.9999\n\nrequire k8s.io/kubernetes v1.37.2\n", []string{"1.9999"}},
		"no module file": {"go.mod", "", []string{"update-mod.sh"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, cache := module(t), t.TempDir()
			write(t, filepath.Join(source, tt.file), tt.content)
			_, err := cluster.Build(t.Context(), cluster.BuildOptions{Source: source, Version: "1.37", CacheDir: cache})
			if err == nil {
				t.Fatal("built")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			left, err := filepath.Glob(filepath.Join(cache, "*[0-9]*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left %q, %v", left, err)
			}
		})
	}
}

func TestBuildWithoutGo(t *testing.T) {
	source := module(t)
	t.Setenv("PATH", t.TempDir())
	_, err := cluster.Build(t.Context(), cluster.BuildOptions{Source: source, Version: "1.37", CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("error %v, want advice to install Go", err)
	}
}

func TestFindByEnvironmentAndPath(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(cluster.BinaryEnv, self)
	if b, err := cluster.Find(t.Context(), cluster.FindOptions{CacheDir: t.TempDir()}); err != nil || b.Path != self {
		t.Errorf("Find by environment = %+v, %v", b, err)
	}
	t.Setenv(cluster.BinaryEnv, "/nonexistent")
	if b, err := cluster.Find(t.Context(), cluster.FindOptions{Path: self}); err != nil || b.Path != self {
		t.Errorf("Find by path = %+v, %v", b, err)
	}
	for _, bad := range []string{"/nonexistent", t.TempDir(), os.DevNull} {
		_, err := cluster.Find(t.Context(), cluster.FindOptions{Path: bad})
		if err == nil || !strings.Contains(err.Error(), "make controlplane") {
			t.Errorf("Find(%s): %v", bad, err)
		}
	}
	t.Setenv(cluster.BinaryEnv, "")
	_, err = cluster.Find(t.Context(), cluster.FindOptions{CacheDir: filepath.Join(t.TempDir(), "none")})
	if !errors.Is(err, cluster.ErrNotBuilt) || !strings.Contains(err.Error(), "make controlplane") {
		t.Errorf("Find in no cache: %v", err)
	}
}
