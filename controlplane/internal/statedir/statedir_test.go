// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package statedir_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/picolet/picolet/controlplane/internal/statedir"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func open(t *testing.T, path string) *statedir.Dir {
	t.Helper()
	d, err := statedir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func listen(t *testing.T, d *statedir.Dir, port int) (net.Listener, int) {
	t.Helper()
	l, err := d.Listen(loopback, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

func TestOneHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	first := open(t, path)
	_, err := statedir.Open(path)
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "(process "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("second holder: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "file", "x"): "you may write",
		filepath.Join(dir, "file"):      "you may write",
		filepath.Join(dir, "a?b"):       "may not contain",
		filepath.Join(dir, "100%"):      "may not contain",
	} {
		_, err := statedir.Open(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", path, err, want)
		}
	}
}

func TestPortIsKept(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	l, port := listen(t, d, 0)
	l.Close()
	l, again := listen(t, d, 0)
	if again != port {
		t.Errorf("port %d, then %d", port, again)
	}
	// Somebody has it now.
	_, other := listen(t, d, 0)
	if other == port {
		t.Fatalf("port %d twice", port)
	}
	l.Close()
	if _, kept := listen(t, open(t, t.TempDir()), port); kept != port {
		t.Errorf("port %d asked for, got %d", port, kept)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	d := open(t, dir)
	_, err = d.Listen(loopback, taken.Addr().(*net.TCPAddr).Port)
	if err == nil || !strings.Contains(err.Error(), "in use by another program") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line that says the port is in use", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "port")); err == nil {
		t.Error("a port that could not be had was kept")
	}
	if _, err := d.Listen(netip.MustParseAddr("192.0.2.1"), 0); err == nil || !strings.Contains(err.Error(), "no address 192.0.2.1") {
		t.Errorf("foreign address: %v", err)
	}
}

func TestKeptPortOfNoUse(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "x", "-1", "0", "65536", "99999999999999999999"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "port"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, port := listen(t, open(t, dir), 0); port == 0 {
			t.Errorf("kept port %q: no port", content)
		}
	}
}

func TestSocketPathIsShortEnough(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "d")
	for _, path := range []string{short, filepath.Join(short, strings.Repeat("long/", 30))} {
		d := open(t, path)
		socket, remove, err := d.Socket("kine.sock")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Errorf("socket of %s: %v", path, err)
			continue
		}
		l.Close()
		info, err := os.Stat(filepath.Dir(socket))
		if err != nil || filepath.Dir(socket) != d.Path("") && info.Mode().Perm() != 0o700 {
			t.Errorf("directory of %s: %v, %v", socket, info, err)
		}
		remove()
		if _, err := os.Stat(socket); err == nil {
			t.Errorf("%s is left", socket)
		}
		if _, err := os.Stat(filepath.Dir(socket)); (err == nil) != (filepath.Dir(socket) == d.Path("")) {
			t.Errorf("directory of %s: %v", socket, err)
		}
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, content := range []string{"one", "two"} {
		if err := statedir.WriteFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// A name that cannot be replaced leaves nothing behind.
	if err := os.MkdirAll(filepath.Join(dir, "d", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := statedir.WriteFile(filepath.Join(dir, "d"), nil); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("directory holds %v, %v", left, err)
	}
	if err := statedir.WriteFile(filepath.Join(dir, "missing", "f"), nil); err == nil {
		t.Error("wrote into a missing directory")
	}
}
