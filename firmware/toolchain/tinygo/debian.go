// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// debianPackages are what building TinyGo and running it take: LLVM as a library,
// the compiler for the little C that TinyGo has, and the linker.
var debianPackages = []string{"llvm-19-dev", "libclang-19-dev", "clang-19", "lld-19", "xz-utils"}

// source is a part of a Debian source package that fills a gap of TinyGo.
type source struct {
	name string // of the source package
	part string // of its upstream archive, "" for all
	to   string // below TinyGo's root
}

var sources = []source{
	// Arithmetic that the processor lacks.
	{"llvm-toolchain-19", "compiler-rt/lib/builtins", "lib/compiler-rt-builtins"},
	// The C library of programs for Linux: tinygo test needs it.
	{"musl", "", "lib/musl"},
}

// installPackages installs the Debian packages that are missing, if it may.
func installPackages(ctx context.Context, progress func(string)) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("TinyGo is built with Debian's LLVM, and there is no apt-get here: install TinyGo " + line +
			"x from https://tinygo.org and put it on PATH")
	}
	missing := missingPackages(ctx)
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing: run `sudo apt-get install --no-install-recommends %s` and try again", strings.Join(missing, " "))
	}
	progress("Install " + strings.Join(missing, " "))
	for _, args := range [][]string{{"update", "-qq"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := output(cmd, "Debian 12 and newer have these packages; see /etc/apt/sources.list.d"); err != nil {
			return err
		}
	}
	return nil
}

func missingPackages(ctx context.Context) []string {
	return slices.DeleteFunc(slices.Clone(debianPackages), func(name string) bool {
		status, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Status}", name).Output()
		return err == nil && strings.HasSuffix(string(status), " ok installed")
	})
}

// fetchSources downloads the source packages to dir and unpacks what is needed of
// them below root. It asks the system's package sources, in a copy of apt's lists,
// and changes nothing of the system's own.
func fetchSources(ctx context.Context, dir, root string) error {
	apt, err := aptForSources(dir, "/etc/apt")
	if err != nil {
		return err
	}
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.name
	}
	// A package source without source packages fails the update, and is no matter
	// as long as another one has what is needed.
	_, updateErr := output(apt(ctx, "update"), "")
	if _, err := output(apt(ctx, append([]string{"--download-only", "source"}, names...)...), "see that apt-get update works"); err != nil {
		return errors.Join(err, updateErr)
	}
	for _, s := range sources {
		if err := s.unpack(ctx, dir, root); err != nil {
			return err
		}
	}
	return nil
}

// aptForSources lists the package sources of the system as sources of source
// packages and returns a maker of apt-get commands that use this list in dir.
func aptForSources(dir, etc string) (func(ctx context.Context, args ...string) *exec.Cmd, error) {
	parts, lists := filepath.Join(dir, "sources.list.d"), filepath.Join(dir, "lists")
	for _, d := range []string{parts, filepath.Join(lists, "partial")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("list of Debian's sources: %w", err)
		}
	}
	found, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*"))
	if err != nil {
		return nil, fmt.Errorf("list of Debian's sources: %w", err)
	}
	for _, path := range append(found, filepath.Join(etc, "sources.list")) {
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || filepath.Ext(path) != ".sources" && filepath.Ext(path) != ".list" {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("list of Debian's sources: %w", err)
		}
		if err := os.WriteFile(filepath.Join(parts, filepath.Base(path)), sourcesOf(data), 0o644); err != nil {
			return nil, fmt.Errorf("list of Debian's sources: %w", err)
		}
	}
	options := []string{"-qq", "-o=Dir::Etc::SourceList=/dev/null", "-o=Dir::Etc::SourceParts=" + parts,
		"-o=Dir::State::Lists=" + lists, "-o=Dir::Cache::pkgcache=", "-o=Dir::Cache::srcpkgcache=", "-o=APT::Sandbox::User="}
	return func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "apt-get", slices.Concat(options, args)...)
		cmd.Dir = dir
		return cmd
	}, nil
}

var (
	typesField = regexp.MustCompile(`(?mi)^Types:.*$`)             // deb822, sources.list(5)
	debLine    = regexp.MustCompile(`(?m)^([ \t]*)deb([ \t]+.*)$`) // one line each
	debSrcLine = regexp.MustCompile(`(?m)^[ \t]*deb-src[ \t].*\n?`)
)

// sourcesOf turns a list of package sources, in either of apt's formats, into one
// of source packages.
func sourcesOf(list []byte) []byte {
	list = debSrcLine.ReplaceAll(list, nil)
	list = debLine.ReplaceAll(list, []byte("${1}deb-src${2}"))
	return typesField.ReplaceAll(list, []byte("Types: deb-src"))
}

// unpack takes the wanted part out of the archive that apt-get put into dir.
func (s source) unpack(ctx context.Context, dir, root string) error {
	archives, err := filepath.Glob(filepath.Join(dir, s.name+"_*.orig.tar.*z*"))
	if err != nil {
		return fmt.Errorf("source package %s: %w", s.name, err)
	}
	archives = slices.DeleteFunc(archives, func(p string) bool { return filepath.Ext(p) == ".asc" })
	if len(archives) != 1 {
		return fmt.Errorf("source package %s: apt-get brought %d archives, not 1", s.name, len(archives))
	}
	to := filepath.Join(root, filepath.FromSlash(s.to))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("source package %s: %w", s.name, err)
	}
	args := []string{"-xf", archives[0], "-C", to, "--no-same-owner", "--strip-components=" + fmt.Sprint(s.depth())}
	if s.part != "" {
		args = append(args, "--wildcards", "*/"+s.part+"/*")
	}
	_, err = output(exec.CommandContext(ctx, "tar", args...), "see that there are 2 GB of disk left")
	return err
}

// depth is how many folders of the archive are above what is wanted.
func (s source) depth() int {
	if s.part == "" {
		return 1
	}
	return 2 + bytes.Count([]byte(s.part), []byte("/"))
}
