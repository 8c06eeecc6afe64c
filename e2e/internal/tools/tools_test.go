// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// newSource is a module that can be found and not built.
func newSource(t *testing.T) Options {
	t.Helper()
	o := Options{Source: t.TempDir(), CacheDir: t.TempDir()}
	write(t, filepath.Join(o.Source, "go.mod"), "module tools\n\ngo 1.26\n")
	write(t, filepath.Join(o.Source, "go.sum"), "")
	o.Env = []string{"GOPROXY=off", "GOFLAGS=-mod=mod", "GOMODCACHE=" + t.TempDir()}
	return o
}

func TestFind(t *testing.T) {
	t.Parallel()
	o := newSource(t)
	if _, err := Find(o); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("in an empty cache: %v", err)
	}
	dir, err := o.target()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{metricsServer, prometheus}, manifestNames...) {
		write(t, filepath.Join(dir, name), "kind: "+name+"\n")
		if b, err := Find(o); name != manifestNames[2] && (err == nil || !strings.Contains(err.Error(), "build again")) {
			t.Errorf("when %s was the last that is there: %+v, %v", name, b, err)
		}
	}
	b, err := Build(t.Context(), o) // builds nothing, for it is there
	if err != nil || b.MetricsServer != filepath.Join(dir, "metrics-server") || b.Prometheus != filepath.Join(dir, "prometheus") {
		t.Fatalf("%+v, %v", b, err)
	}
	for _, name := range manifestNames {
		if !strings.Contains(string(b.MetricsServerManifests), "\n---\nkind: "+name+"\n") {
			t.Errorf("manifest %s is not in %q", name, b.MetricsServerManifests)
		}
	}
	write(t, filepath.Join(o.Source, "go.sum"), "another\n")
	if _, err := Find(o); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("of another source: %v", err)
	}
}

// TestBuildThatFails: it says what to do, leaves nothing, and what was there.
func TestBuildThatFails(t *testing.T) {
	t.Parallel()
	o := newSource(t)
	write(t, filepath.Join(o.CacheDir, "0123456789abcdef", prometheus), "")
	_, err := Build(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), metricsServerModule) || !strings.Contains(err.Error(), "connect to the network") {
		t.Errorf("error %v", err)
	}
	if left := list(t, o.CacheDir); !slices.Equal(left, []string{".lock", "0123456789abcdef"}) {
		t.Errorf("left are %v", left)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"0123456789abcdef", "fedcba9876543210", unfinishedPrefix + "1", "of-somebody-else"} {
		write(t, filepath.Join(dir, name, prometheus), "")
	}
	if err := prune(dir, "fedcba9876543210"); err != nil {
		t.Fatal(err)
	}
	if left := list(t, dir); !slices.Equal(left, []string{"fedcba9876543210", "of-somebody-else"}) {
		t.Errorf("left are %v", left)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}
