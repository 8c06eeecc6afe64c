// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ownRoot is a TINYGOROOT of two files.
func ownRoot(t *testing.T, clock string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{clockFile: "package machine\n\nconst (\n\t" + clock + "\tother = 1\n)\n", "targets/pico.json": "{}"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// compilerOf is a compiler that knows its root alone.
func compilerOf(t *testing.T, root string) Compiler {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tinygo")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+root+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Compiler{Path: path, Library: filepath.Join(t.TempDir(), "library")}
}

func TestWithClock(t *testing.T) {
	t.Parallel()
	root := ownRoot(t, string(ownClock))
	own := compilerOf(t, root)
	for range 2 { // the second finds what the first made
		c, err := own.WithClock(t.Context(), 125)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(c.Root, clockFile))
		if err != nil || string(text) != "package machine\n\nconst (\n\tcpuFreq = 125 * MHz\n\tother = 1\n)\n" {
			t.Errorf("%s, %v", text, err)
		}
		if text, err := os.ReadFile(filepath.Join(c.Root, "targets/pico.json")); err != nil || string(text) != "{}" {
			t.Errorf("%s, %v", text, err)
		}
		if env := c.Command(t.Context()).Env; env[len(env)-1] != "TINYGOROOT="+c.Root {
			t.Errorf("runs with %s", env[len(env)-1])
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, clockFile)); err != nil || !strings.Contains(string(text), string(ownClock)) {
		t.Errorf("the compiler's own root has changed: %s, %v", text, err)
	}
}

func TestWithClockRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		clock     string
		megahertz int
	}{
		"above the data sheet": {string(ownClock), 134},
		"slow":                 {string(ownClock), 15},
		"another TinyGo":       {"cpuFreq = 150 * MHz\n", 125},
	} {
		if c, err := compilerOf(t, ownRoot(t, tc.clock)).WithClock(t.Context(), tc.megahertz); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
}
