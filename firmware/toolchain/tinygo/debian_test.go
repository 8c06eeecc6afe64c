// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSourcesOfBothFormats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ list, want string }{
		"deb822": {
			"# Debian\nTypes: deb\nURIs: http://deb.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n\nTypes: deb deb-src\nURIs: http://s.example\n",
			"# Debian\nTypes: deb-src\nURIs: http://deb.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n\nTypes: deb-src\nURIs: http://s.example\n",
		},
		"deb822, other case": {"types:deb\n", "Types: deb-src\n"},
		"one line each": {
			"deb http://deb.example/debian bookworm main\n deb [signed-by=/k.gpg arch=amd64] http://x.example y z\n",
			"deb-src http://deb.example/debian bookworm main\n deb-src [signed-by=/k.gpg arch=amd64] http://x.example y z\n",
		},
		"with sources already": {"deb http://a b c\ndeb-src http://a b c\n", "deb-src http://a b c\n"},
		"comments stay":        {"# deb http://a b c\n#deb http://a b c", "# deb http://a b c\n#deb http://a b c"},
		"empty":                {"", ""},
	} {
		if got := string(sourcesOf([]byte(c.list))); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestAptReadsACopyOfTheListsThatAreInForce(t *testing.T) {
	t.Parallel()
	etc, dir := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(etc, "sources.list.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"sources.list":                    "deb http://a b c\n",
		"sources.list.d/debian.sources":   "Types: deb\n",
		"sources.list.d/extra.list":       "deb http://d e f\n",
		"sources.list.d/old.list.save":    "deb http://g h i\n",
		"sources.list.d/off.sources.bak1": "Types: deb\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, filepath.FromSlash(name)), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apt, err := aptForSources(dir, etc)
	if err != nil {
		t.Fatal(err)
	}
	parts := filepath.Join(dir, "sources.list.d")
	got := map[string]string{}
	copies, err := os.ReadDir(parts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range copies {
		data, err := os.ReadFile(filepath.Join(parts, c.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[c.Name()] = string(data)
	}
	want := map[string]string{"sources.list": "deb-src http://a b c\n", "debian.sources": "Types: deb-src\n", "extra.list": "deb-src http://d e f\n"}
	if len(got) != len(want) {
		t.Errorf("copied %v, want %v", got, want)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	cmd := apt(t.Context(), "update")
	if cmd.Dir != dir || !slices.Contains(cmd.Args, "-o=Dir::Etc::SourceParts="+parts) || cmd.Args[len(cmd.Args)-1] != "update" {
		t.Errorf("the command is %v in %s", cmd.Args, cmd.Dir)
	}
}

// archive writes an upstream archive of a source package.
func archive(t *testing.T, path string, files ...string) {
	t.Helper()
	var data bytes.Buffer
	zipped := gzip.NewWriter(&data)
	w := tar.NewWriter(zipped)
	for _, name := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(name))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUnpackTakesTheWantedPart(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), t.TempDir()
	archive(t, filepath.Join(dir, "llvm_19.orig.tar.gz"), "llvm-19/rt/lib/builtins/a.c", "llvm-19/rt/lib/builtins/arm/b.S", "llvm-19/other/c.c")
	archive(t, filepath.Join(dir, "musl_1.orig.tar.gz"), "musl-1/src/d.c")
	if err := os.WriteFile(filepath.Join(dir, "musl_1.orig.tar.gz.asc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []source{{"llvm", "rt/lib/builtins", "lib/builtins"}, {"musl", "", "lib/musl"}} {
		if err := s.unpack(t.Context(), dir, root); err != nil {
			t.Error(err)
		}
	}
	var got []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			got = append(got, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"lib/builtins/a.c", "lib/builtins/arm/b.S", "lib/musl/src/d.c"}
	if !slices.Equal(got, want) {
		t.Errorf("unpacked %v, want %v", got, want)
	}
}

func TestUnpackSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := source{"musl", "", "lib/musl"}.unpack(t.Context(), dir, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "musl") || strings.Contains(err.Error(), "%!") {
		t.Errorf("without an archive: %v", err)
	}
	archive(t, filepath.Join(dir, "musl_1.orig.tar.gz"), "musl-1/README")
	err = source{"musl", "src/string", "lib/musl"}.unpack(t.Context(), dir, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "tar") {
		t.Errorf("with an archive that lacks the part: %v", err)
	}
}
