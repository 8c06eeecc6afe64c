// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package filestore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/picolet/picolet/board"
)

const (
	folder = "/state"
	path   = folder + "/record"
)

var (
	older = bytes.Repeat([]byte("older "), 40)
	newer = bytes.Repeat([]byte("newer and longer "), 50)
)

func load(s *Store) (string, error) {
	p := make([]byte, board.MaxStored)
	n, err := s.Load(p)
	return string(p[:n]), err
}

func mustSave(t *testing.T, s *Store, record []byte) {
	t.Helper()
	if err := s.Save(record); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

// stepsOfSave returns what Save does to the disk, in order.
func stepsOfSave(t *testing.T) []string {
	t.Helper()
	d := newCrashDisk()
	mustSave(t, &Store{path: path, disk: d}, older)
	return d.steps
}

func TestStepsOfSave(t *testing.T) {
	t.Parallel()
	want := []string{"remove", "open", "write", "sync", "close", "rename", "open", "sync", "close"}
	if got := stepsOfSave(t); !slices.Equal(got, want) {
		t.Errorf("Save does %v, want %v", got, want)
	}
}

// TestPowerCut cuts the power at each step of Save, for the first record and
// for a later one, and looks at every disk that can be left behind.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", string(older)} {
		for step, name := range append(stepsOfSave(t), "after") {
			d := newCrashDisk()
			s := &Store{path: path, disk: d}
			if before != "" {
				mustSave(t, s, older)
			}
			d.failAt, d.err = step, errPowerCut
			saved := s.Save(newer) == nil
			if saved != (name == "after") {
				t.Fatalf("Save succeeded: %v, with the power cut at step %d (%s)", saved, step, name)
			}
			d.afterPowerCut(func(after *crashDisk) {
				s := &Store{path: path, disk: after}
				got, err := load(s)
				if err != nil || got != string(newer) && (saved || got != before) {
					t.Errorf("power cut at step %d (%s): loaded %.12q, %v", step, name, got, err)
				}
				mustSave(t, s, []byte("next"))
				if got, err := load(s); got != "next" || err != nil {
					t.Errorf("power cut at step %d (%s): the next record is %.12q, %v", step, name, got, err)
				}
			})
		}
	}
}

// TestFullDisk lets each step of Save fail as on a full disk: the running
// process still loads one of the two records, and no temporary file stays.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for step, name := range stepsOfSave(t) {
		d := newCrashDisk()
		s := &Store{path: path, disk: d}
		mustSave(t, s, older)
		d.failAt, d.err = step, errDiskFull
		if err := s.Save(newer); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("step %d (%s): Save returned %v", step, name, err)
		}
		want := older
		if step > slices.Index(stepsOfSave(t), "rename") {
			want = newer
		}
		if got, err := load(s); got != string(want) || err != nil {
			t.Errorf("step %d (%s): loaded %.12q, %v", step, name, got, err)
		}
		if _, ok := d.names[path+".tmp"]; ok {
			t.Errorf("step %d (%s): the temporary file stays", step, name)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "new", "folder", "record")
	for _, record := range []string{"", "a", strings.Repeat("x", board.MaxStored), "\x00\xff"} {
		s, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, s, []byte(record))
		again, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := load(again); got != record || err != nil {
			t.Errorf("loaded %d bytes, %v; want %d", len(got), err, len(record))
		}
	}
	names, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v, %v; want the record alone", names, err)
	}
}

func TestNothingStored(t *testing.T) {
	t.Parallel()
	s, err := New(filepath.Join(t.TempDir(), "record"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := load(s); got != "" || err != nil {
		t.Errorf("loaded %q, %v", got, err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s, err := New(filepath.Join(t.TempDir(), "record"))
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, older)
	if err := s.Save(make([]byte, board.MaxStored+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Save of too much returned %v", err)
	}
	small := make([]byte, len(older)-1)
	if n, err := s.Load(small); n != 0 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("Load into too little returned %d, %v", n, err)
	}
	if got, err := load(s); got != string(older) || err != nil {
		t.Errorf("loaded %.12q, %v", got, err)
	}
}

// TestDamaged changes each byte of a file and cuts it at each length.
func TestDamaged(t *testing.T) {
	t.Parallel()
	whole := encode(older)
	check := func(what string, at int, content []byte) {
		if record, err := decode(content); record != nil || err != ErrDamaged {
			t.Errorf("%s at %d: %.12q, %v", what, at, record, err)
		}
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x40
		check("changed", i, changed)
		check("cut", i, whole[:i])
	}
	check("more", len(whole), append(bytes.Clone(whole), 0))
	check("huge", 0, encode(make([]byte, board.MaxStored+1)))
	check("zeros", 0, make([]byte, len(whole)))
}

func TestDamagedFileIsReplaced(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(name, bytes.Repeat([]byte("garbage"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := load(s); got != "" || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
		t.Errorf("loaded %.12q, %v", got, err)
	}
	mustSave(t, s, newer)
	if got, err := load(s); got != string(newer) || err != nil {
		t.Errorf("loaded %.12q, %v", got, err)
	}
}

func TestNotAFile(t *testing.T) {
	t.Parallel()
	name := t.TempDir()
	s, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(s); err == nil {
		t.Error("a folder was loaded as a record")
	}
	if err := s.Save(newer); err == nil {
		t.Error("a folder was replaced")
	}
	file := filepath.Join(name, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(filepath.Join(file, "record")); err == nil {
		t.Error("a file was taken for a folder")
	}
	pipe := filepath.Join(name, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("cannot make a named pipe: %v", err)
	}
	if s, err = New(pipe); err != nil {
		t.Fatal(err)
	}
	if _, err := load(s); err == nil {
		t.Error("a named pipe was loaded as a record")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s, err := New(filepath.Join(t.TempDir(), "record"))
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, s, older)
	var group sync.WaitGroup
	for _, record := range [][]byte{older, newer} {
		group.Go(func() {
			for range 20 {
				if err := s.Save(record); err != nil {
					t.Errorf("Save: %v", err)
				}
				if got, err := load(s); err != nil || got != string(older) && got != string(newer) {
					t.Errorf("loaded %.12q, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(encode(nil))
	f.Add(encode(older))
	f.Fuzz(func(t *testing.T, content []byte) {
		record, err := decode(content)
		if err == nil && !bytes.Equal(encode(record), content) {
			t.Errorf("%q is read as %q, which is written otherwise", content, record)
		}
	})
}
