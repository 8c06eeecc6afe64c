// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestModuleNamesTheVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeModule(dir); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ file, text string }{
		{string(mod), "\t" + tinygoModule + " v" + Version + " "},
		{string(mod), "tool " + tinygoModule + "\n"},
		{string(sum), tinygoModule + " v" + Version + " h1:"},
	} {
		if !bytes.Contains([]byte(want.file), []byte(want.text)) {
			t.Errorf("the module file lacks %q", want.text)
		}
	}
}

func TestHashDiffersByWhatElseDecides(t *testing.T) {
	t.Parallel()
	var got [3]string
	for i, also := range []string{"go1.26.8", "go1.26.8", "go1.26.9"} {
		var err error
		if got[i], err = hashInputs(also); err != nil {
			t.Fatal(err)
		}
	}
	if got[0] != got[1] || got[1] == got[2] {
		t.Errorf("hashes are %v", got)
	}
}

func TestOverlayFillsGapsAndReplacesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := copyOverlay(root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lib/libc/memory.c", "lib/libc/log.c", "src/net/net.go", "src/device/rp/rp2040.go", "src/device/rp/rp2040.s"} {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	if err := copyOverlay(root); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second copy over the first: %v, want that the files exist", err)
	}
}

func TestPicolibcIsTakenOutOfATarget(t *testing.T) {
	t.Parallel()
	got, err := withoutPicolibc([]byte(`{"goos":"linux","libc":"picolibc","cflags":["-Werror"],"extra-files":["a.S"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var target map[string]any
	if err := json.Unmarshal(got, &target); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"goos": "linux", "libc": "",
		"cflags":      []any{"-Werror", "-ffreestanding", "-nostdlibinc"},
		"extra-files": []any{"a.S", "lib/libc/memory.c", "lib/libc/log.c"},
	}
	if !reflect.DeepEqual(target, want) {
		t.Errorf("got %v\nwant %v", target, want)
	}
}

func TestTargetsThatAreNotAsExpectedAreRefused(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "[]", "{}", `{"libc":"musl"}`, `{"libc":7}`} {
		if got, err := withoutPicolibc([]byte(data)); err == nil {
			t.Errorf("withoutPicolibc(%q) = %s, want an error", data, got)
		}
	}
}
