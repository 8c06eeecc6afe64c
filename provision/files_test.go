// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/picolet/picolet/provision"
)

// names lists a directory, hidden files too.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func filesIn(dir string, names ...string) []provision.File {
	var files []provision.File
	for _, name := range names {
		files = append(files, provision.File{Path: filepath.Join(dir, name), Make: func() ([]byte, error) { return []byte("new " + name), nil }})
	}
	return files
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := provision.Write(filesIn(dir, "a", "b"), false); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "a b" {
		t.Errorf("the directory holds %s", got)
	}
	info, err := os.Stat(filepath.Join(dir, "b"))
	if err != nil || info.Mode() != 0o600 || content(t, filepath.Join(dir, "b")) != "new b" {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestWriteAllOrNothing: one name is taken, one directory missing, one file
// cannot be replaced; nothing is written and nothing left behind.
func TestWriteAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		files []string
		force bool
		says  string
	}{
		"last taken":      {[]string{"a", "b", "taken"}, false, "taken is there already: replace it by --force"},
		"first taken":     {[]string{"taken", "a"}, false, "taken is there already"},
		"same name twice": {[]string{"a", "a"}, false, "a is there already"},
		"no directory":    {[]string{"a", "none/b"}, false, "no such file"},
		"a directory":     {[]string{"a", "folder"}, false, "folder is there already"},
		"forced upon it":  {[]string{"folder"}, true, "folder"},
		"a board's drive": {[]string{"a", "folder/b"}, true, "drive of a board"},
	} {
		dir := t.TempDir()
		old := filepath.Join(dir, "taken")
		err := errors.Join(
			os.WriteFile(old, []byte("old"), 0o644),
			os.MkdirAll(filepath.Join(dir, "folder"), 0o755),
			os.WriteFile(filepath.Join(dir, "folder", "INFO_UF2.TXT"), nil, 0o644),
		)
		if err != nil {
			t.Fatal(err)
		}
		err = provision.Write(filesIn(dir, tc.files...), tc.force)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
		if got := names(t, dir); got != "folder taken" || content(t, old) != "old" {
			t.Errorf("%s: the directory holds %s", name, got)
		}
		if got := names(t, filepath.Join(dir, "folder")); got != "INFO_UF2.TXT" {
			t.Errorf("%s: the folder holds %s", name, got)
		}
	}
}

func TestForce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := provision.Write(filesIn(dir, "a", "b"), true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.FileMode(0o600) || content(t, path) != "new a" || names(t, dir) != "a b" {
		t.Errorf("%v, %v, %s", info.Mode(), err, names(t, dir))
	}
}
