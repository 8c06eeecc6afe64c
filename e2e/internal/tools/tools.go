// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tools builds and finds the programs that the end-to-end tests run beside
// picolet and its control plane: metrics-server and Prometheus, in the versions
// that the module e2e/tools names. It starts none of them, and changes nothing of
// their source or their manifests.
package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Built are the tools, ready to run.
type Built struct {
	// MetricsServer and Prometheus are the executables.
	MetricsServer, Prometheus string
	// MetricsServerManifests are metrics-server's own, YAML documents divided by
	// "---": ServiceAccount and rights, Service and APIService.
	MetricsServerManifests []byte
}

// ErrNotBuilt says that the tools are not there yet.
var ErrNotBuilt = errors.New("metrics-server and Prometheus are not built yet: run `go run ./e2e/prepare` (about 5 min the first time)")

// Options say what to build and where to.
type Options struct {
	// Source is the directory of the module e2e/tools. Required.
	Source string
	// CacheDir holds the tools. Optional [picolet/tools in os.UserCacheDir].
	CacheDir string
	// Env is what the go command gets beside the environment, as KEY=value. Optional.
	Env []string
}

const (
	metricsServer = "metrics-server"
	prometheus    = "prometheus"
)

// manifestNames are those of metrics-server, but for the Deployment: no pod runs
// in the tests.
var manifestNames = []string{"rbac.yaml", "service.yaml", "apiservice.yaml"}

// Find finds what Build has built of exactly this source. The error is ErrNotBuilt
// when there is nothing.
func Find(o Options) (Built, error) {
	dir, err := o.target()
	if err != nil {
		return Built{}, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return Built{}, ErrNotBuilt
	}
	b := Built{MetricsServer: filepath.Join(dir, metricsServer), Prometheus: filepath.Join(dir, prometheus)}
	for _, path := range []string{b.MetricsServer, b.Prometheus} {
		if _, err := os.Stat(path); err != nil {
			return Built{}, fmt.Errorf("tools: %w; remove %s and build again", err, dir)
		}
	}
	for _, name := range manifestNames {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Built{}, fmt.Errorf("tools: %w; remove %s and build again", err, dir)
		}
		b.MetricsServerManifests = append(append(b.MetricsServerManifests, "\n---\n"...), text...)
	}
	return b, nil
}

// target is the directory of the build in the cache. Its name changes with
// whatever decides what is built.
func (o Options) target() (string, error) {
	cache, err := o.cacheDir()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %s %s %q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, o.buildArgs(""))
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(o.Source, name))
		if err != nil {
			return "", fmt.Errorf("source of the tools: %w", err)
		}
		fmt.Fprintf(h, "%d\n%s", len(text), text)
	}
	return filepath.Join(cache, hex.EncodeToString(h.Sum(nil)[:8])), nil
}

func (o Options) cacheDir() (string, error) {
	if o.CacheDir != "" {
		return filepath.Abs(o.CacheDir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache of the tools: %w; set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(dir, "picolet", "tools"), nil
}

// buildArgs are those of go that build into dir. Of all that Prometheus can
// discover targets by, Kubernetes alone is built in.
func (o Options) buildArgs(dir string) []string {
	return []string{
		"build", "-trimpath", "-buildvcs=false", "-tags=remove_all_sd,enable_kubernetes_sd", "-ldflags=-s -w",
		"-o", dir + string(os.PathSeparator),
		metricsServerModule + "/cmd/" + metricsServer, "github.com/prometheus/prometheus/cmd/" + prometheus,
	}
}

// isBuild tells whether a name in the cache is that of a build, whole or not.
func isBuild(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 16 || strings.HasPrefix(name, unfinishedPrefix)
}
