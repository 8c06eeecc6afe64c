// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestPartsEndInReverseOrder(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		fail error
		want string
	}{
		"Ctrl-C":     {nil, ""},
		"one breaks": {broken, "second: broken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				var ended []string
				runs := func(name string, fail error) part {
					return part{name, func(ctx context.Context) error {
						if fail != nil {
							return fail
						}
						<-ctx.Done()
						mu.Lock()
						defer mu.Unlock()
						ended = append(ended, name)
						return ctx.Err()
					}}
				}
				if tt.fail == nil {
					go func() { synctest.Wait(); cancel() }()
				}
				err := runInOrder(ctx, []part{runs("first", nil), runs("second", tt.fail), runs("third", nil)})
				cancel()
				if got := fmt.Sprint(err); got != tt.want && !(err == nil && tt.want == "") {
					t.Errorf("error %q, want %q", got, tt.want)
				}
				if i, j := slices.Index(ended, "third"), slices.Index(ended, "first"); i != 0 || j != len(ended)-1 {
					t.Errorf("ended in the order %q", ended)
				}
			})
		})
	}
}

func TestLockKeepsOthersOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "another \"picolet up\" runs in "+dir) {
		t.Errorf("second lock: %v", err)
	}
	unlock()
	again, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestSecretIsReplacedWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	for _, text := range []string{"first", "second"} {
		if err := writeSecret(path, text); err != nil {
			t.Fatal(err)
		}
		if got, err := readSecret("token-file", path); got != text || err != nil {
			t.Errorf("read %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
	if err := writeSecret(filepath.Join(dir, "none", "token"), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing into no directory: %v", err)
	}
}

func TestStateDir(t *testing.T) {
	tests := []struct{ xdg, home, want string }{
		{"/xdg", "/home/u", "/xdg/picolet"},
		{"", "/home/u", "/home/u/.local/state/picolet"},
		{"relative", "/home/u", "/home/u/.local/state/picolet"}, // to be ignored by the XDG Base Directory Specification
	}
	for _, tt := range tests {
		t.Setenv("XDG_STATE_HOME", tt.xdg)
		t.Setenv("HOME", tt.home)
		if got, err := stateDir(); got != tt.want || err != nil {
			t.Errorf("XDG_STATE_HOME=%q: %q, %v, want %q", tt.xdg, got, err, tt.want)
		}
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := stateDir(); err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("without a home: %v, want a word about --dir", err)
	}
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/home/u/x": "/home/u/x",
		"/a b":      "'/a b'",
		"/it's":     `'/it'\''s'`,
		"/$HOME":    "'/$HOME'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("a"), errors.New("b\r\nc"))
	if got := oneLine(err); got != "a; b; c" {
		t.Errorf("oneLine = %q", got)
	}
}
