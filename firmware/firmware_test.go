// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package firmware_test builds images for boards and runs the portable core's
// tests with the compiler that builds them.
package firmware_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/picolet/picolet/firmware/toolchain/tinygo"
)

// What the core alone may take of a board, in bytes. Half as much again as it
// does: this is a fence against a library that slips in, not a target.
const (
	maxCoreFlash  = 170 << 10
	maxCoreStatic = 24 << 10
)

// compiler returns the TinyGo to use. A person's machine that has none skips the
// test; elsewhere it is built.
func compiler(t *testing.T) tinygo.Compiler {
	t.Helper()
	if testing.Short() {
		t.Skip("compiling with TinyGo takes long")
	}
	find := tinygo.Find
	if os.Getenv("CI") == "true" {
		find = tinygo.Get
	}
	c, err := find(t.Context(), tinygo.Options{Progress: func(step string) { t.Log(step) }})
	if errors.Is(err, tinygo.ErrNotBuilt) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, said)
	}
	return string(said)
}

func TestCoreFitsTheBoard(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "core.elf")
	run(t, compiler(t).Command(t.Context(), "build", "-target=pico", "-serial=uart", "-o="+image, "./core"))
	table := run(t, exec.CommandContext(t.Context(), "go", "run", "./footprint", "core="+image))
	t.Log("\n" + table)
	fields := strings.Split(table[strings.LastIndex(table, "| core "):], "|")
	for column, c := range map[string]struct {
		at     int
		budget int
	}{"flash": {2, maxCoreFlash}, "static RAM": {3, maxCoreStatic}} {
		n, err := strconv.Atoi(strings.TrimSpace(fields[c.at]))
		if err != nil {
			t.Fatal(err)
		}
		if n > c.budget {
			t.Errorf("the core takes %d bytes of %s, over its budget of %d: `go run ./toolchain build -target=pico -size=full ./core` tells where",
				n, column, c.budget)
		}
	}
}

// Packages of the root module whose tests run under TinyGo: all that a board runs.
// What compares with packages that TinyGo lacks, such as net/http, stands in files
// of its own.
//
// Each package is a program, which takes 7 s of CPU to compile at the least. So a
// person's machine runs those in testedByTinyGo: the code of the others is run by
// the kubelet's transcripts, or by the tests of the emulated board.
var (
	testedByTinyGo = []string{
		"./board/flash", "./kubelet", "./kubelet/configmap", "./kubelet/http1", "./kubelet/httpserver",
		"./kubelet/jsonstream", "./kubelet/logring", "./kubelet/wallclock",
	}
	testedInCI = []string{
		"./board", "./kubelet/answer", "./kubelet/node", "./kubelet/quote", "./link/noise", "./settings",
	}
)

func TestCoresTestsPassUnderTinyGo(t *testing.T) {
	t.Parallel()
	list := testedByTinyGo
	if os.Getenv("CI") == "true" {
		list = slices.Concat(list, testedInCI)
	}
	c := compiler(t)
	for _, path := range list {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			// With the garbage collector of the boards, not that of Linux.
			cmd := c.Command(t.Context(), "test", "-gc=conservative", path)
			cmd.Dir = ".."
			if said := run(t, cmd); !strings.HasPrefix(said, "ok  \t") {
				t.Errorf("%s", said)
			}
		})
	}
}
