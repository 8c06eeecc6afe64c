// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// unfinishedPrefix begins the names of directories that builds under way write to.
const unfinishedPrefix = ".building-"

// BuildOptions say what to build.
type BuildOptions struct {
	// Source is the directory of the controlplane module. Required.
	Source string
	// Version is a Kubernetes version or line, for example 1.36; it selects go.mod or
	// go-1.36.mod. Optional [$KUBERNETES, else that of go.mod].
	Version string
	// CacheDir holds the builds. Optional [picolet/controlplane in os.UserCacheDir].
	CacheDir string
	// Progress is told how many packages of how many are compiled; both are 0 until
	// the work is known. It is called by one goroutine at a time. Optional.
	Progress func(done, total int)
}

// Build builds the control plane, unless the cache has this very source already. It
// takes Go and, the first time, the network, 6 GB of disk and several minutes. Of
// several processes that build at once, one does the work and the others wait.
func Build(ctx context.Context, o BuildOptions) (Binary, error) {
	b, err := newBuild(ctx, o)
	if err != nil {
		return Binary{}, err
	}
	if found, err := b.find(); err == nil {
		return found, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return Binary{}, fmt.Errorf("cache of built control planes: %w; set XDG_CACHE_HOME to a directory that you may write", err)
	}
	unlock, err := lock(ctx, filepath.Join(b.cache, ".lock"))
	if err != nil {
		return Binary{}, err
	}
	defer unlock()
	if found, err := b.find(); err == nil { // another process was first
		return found, nil
	}
	if err := b.make(ctx, o.Progress); err != nil {
		return Binary{}, err
	}
	if err := prune(b.cache); err != nil {
		return Binary{}, err
	}
	return b.find()
}

// build is one binary to be: where it comes from and where it goes.
type build struct {
	source  string
	modFile string
	version string
	cache   string
	name    string // of the directory in the cache
}

func newBuild(ctx context.Context, o BuildOptions) (build, error) {
	if o.Source == "" {
		return build{}, errors.New("build the control plane: no source directory given")
	}
	b := build{}
	var err error
	if b.source, err = filepath.Abs(o.Source); err != nil {
		return build{}, fmt.Errorf("build the control plane: %w", err)
	}
	if b.cache, err = cacheDir(o.CacheDir); err != nil {
		return build{}, err
	}
	if b.modFile, b.version, err = selectModFile(b.source, versionOr(o.Version)); err != nil {
		return build{}, err
	}
	toolchain, err := b.goOutput(ctx, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return build{}, err
	}
	hash, err := hashSource(b.source, b.modFile, toolchain, strings.Join(b.flags(), " "))
	if err != nil {
		return build{}, err
	}
	b.name = b.version + "-" + hash
	return b, nil
}

var requirement = regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes\s+v([0-9][0-9A-Za-z.-]*)`)

// selectModFile returns the module file of a Kubernetes version or line, and the full
// version that it names.
func selectModFile(source, version string) (name, full string, err error) {
	names := []string{"go.mod"}
	if parts := strings.SplitN(version, ".", 3); len(parts) >= 2 {
		names = append(names, "go-"+filepath.Base(parts[0]+"."+parts[1])+".mod")
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			if name == "go.mod" {
				return "", "", fmt.Errorf("source of the control plane: %w", err)
			}
			continue
		}
		if m := requirement.FindSubmatch(data); m != nil && isOfLine(string(m[1]), version) {
			return name, string(m[1]), nil
		}
	}
	return "", "", fmt.Errorf("no module file for Kubernetes %q in %s: make one with `./update-mod.sh VERSION go-MINOR.mod` there", version, source)
}

func (b build) find() (Binary, error) {
	path := filepath.Join(b.cache, b.name, binaryName)
	if _, err := checkBinary(path); err != nil {
		return Binary{}, ErrNotBuilt
	}
	// The time of the last use decides what prune removes; without it nothing breaks.
	now := time.Now()
	_ = os.Chtimes(filepath.Dir(path), now, now)
	return Binary{Path: path, Version: b.version}, nil
}

// flags are those that go list and go build share.
func (b build) flags() []string {
	minor := strings.SplitN(b.version, ".", 3)
	link := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		link = append(link, "-X="+pkg+".gitVersion=v"+b.version, "-X="+pkg+".gitMajor="+minor[0], "-X="+pkg+".gitMinor="+minor[1])
	}
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags=" + strings.Join(link, " ")}
	if b.modFile != "go.mod" {
		flags = append(flags, "-modfile="+b.modFile)
	}
	return flags
}

// make compiles into a directory of its own, which gets its name once it is whole.
func (b build) make(ctx context.Context, progress func(done, total int)) error {
	if progress == nil {
		progress = func(int, int) {}
	}
	progress(0, 0)
	stale, err := b.goOutput(ctx, append(append([]string{"list", "-deps"}, b.flags()...), "-f={{if .Stale}}{{.ImportPath}}{{end}}", ".")...)
	if err != nil {
		return err
	}
	if err := b.removeUnfinished(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.cache, unfinishedPrefix)
	if err != nil {
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	if err := b.compile(ctx, filepath.Join(dir, binaryName), len(strings.Fields(stale)), progress); err != nil {
		return err
	}
	if err := os.Symlink(binaryName, filepath.Join(dir, kubectlName)); err != nil {
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	target := filepath.Join(b.cache, b.name)
	if err := os.RemoveAll(target); err != nil { // only there when somebody damaged it
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	if err := os.Rename(dir, target); err != nil {
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	return nil
}

// removeUnfinished removes what builds that were cut have left. The caller has the lock.
func (b build) removeUnfinished() error {
	left, err := filepath.Glob(filepath.Join(b.cache, unfinishedPrefix+"*"))
	if err != nil {
		return fmt.Errorf("cache of built control planes: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("cache of built control planes: %w", err)
		}
	}
	return nil
}

func (b build) compile(ctx context.Context, output string, total int, progress func(done, total int)) error {
	args := append(append([]string{"build", "-v"}, b.flags()...), "-o="+output, ".")
	cmd := b.goCommand(ctx, args...)
	read, write := io.Pipe()
	cmd.Stderr = write
	var said tail
	said.next = io.Discard
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		countPackages(io.TeeReader(read, &said), total, progress)
		_, _ = io.Copy(&said, read) // what has too long a line for counting
	}()
	err := cmd.Run()
	write.Close()
	<-counted
	return explain(ctx, err, &said)
}

// countPackages reads the lines of go build -v: import paths as they are compiled,
// and messages, which have spaces.
func countPackages(r io.Reader, total int, progress func(done, total int)) {
	done := 0
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if line := lines.Text(); line == "" || strings.ContainsAny(line, " \t") {
			continue
		}
		done++
		total = max(total, done)
		progress(done, total)
	}
}

func (b build) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.source
	// No workspace of the caller's, no C compiler.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "PWD="+b.source)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// goOutput runs the go command and returns what it prints.
func (b build) goOutput(ctx context.Context, args ...string) (string, error) {
	cmd := b.goCommand(ctx, args...)
	var said tail
	said.next = io.Discard
	cmd.Stderr = &said
	out, err := cmd.Output()
	return string(out), explain(ctx, err, &said)
}

// hints tell what to do about what the go command may say.
var hints = []struct{ said, hint string }{
	{"no space left on device", "free some 6 GB of disk, or point GOCACHE and GOMODCACHE to a larger one"},
	{"no such host", "the first build downloads Go modules: connect to the network, or set GOPROXY"},
	{"dial tcp", "the first build downloads Go modules: connect to the network, or set GOPROXY"},
	{"i/o timeout", "the first build downloads Go modules: check the network, or set GOPROXY"},
	{"requires go >=", "install a newer Go (https://go.dev/dl), or allow GOTOOLCHAIN=auto"},
	{"signal: killed", "the build takes 3 GB of memory: close something, or set GOFLAGS=-p=1 and try again"},
}

// explain turns the failure of a go command into an error that says what to do.
func explain(ctx context.Context, err error, said *tail) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("build the control plane: %w", context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("build the control plane: %w; install Go 1.26 or newer (https://go.dev/dl) and put it on PATH", err)
	}
	lines := strings.Join(said.lines(), "\n")
	hint := "see above what the compiler says"
	for _, h := range hints {
		if strings.Contains(lines+err.Error(), h.said) {
			hint = h.hint
			break
		}
	}
	return fmt.Errorf("build the control plane: %w\n%s\n%s", err, said.lastLines(), hint)
}
