// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/picolet/picolet/uf2"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"picolet": main})
}

// TestScripts runs the command as users do. Each script has a port that is
// taken, $TAKEN, one where nobody listens, $FREE, and firmware.uf2 and pico2.uf2.
func TestScripts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			free, err := freeAddress()
			e.Setenv("TAKEN", taken.Addr().String())
			e.Setenv("FREE", free)
			e.Setenv("XDG_STATE_HOME", e.Getenv("WORK")+"/state")
			e.Setenv("HOME", e.Getenv("WORK")+"/home")
			return errors.Join(err, writeFirmware(e.Getenv("WORK")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"usage": func(ts *testscript.TestScript, _ bool, args []string) { checkFailure(ts, exitUsage, args) },
			"fails": func(ts *testscript.TestScript, _ bool, args []string) { checkFailure(ts, exitFailed, args) },
		},
	})
}

// writeFirmware makes images, of a Pico W and of a Pico 2, that do nothing.
func writeFirmware(dir string) error {
	image := uf2.Segment{Address: 0x10000000, Bytes: make([]byte, 512)}
	for name, family := range map[string]uf2.Family{"firmware.uf2": uf2.RP2040, "pico2.uf2": 0xe48bff59} {
		file, err := uf2.Encode(family, image)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), file, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkFailure runs picolet with args[1:]. It must exit with code and say one
// line, which matches args[0].
func checkFailure(ts *testscript.TestScript, code int, args []string) {
	err := ts.Exec("picolet", args[1:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code {
		ts.Fatalf("picolet %q: %v, want exit code %d", args[1:], err, code)
	}
	said := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	want := regexp.MustCompile("^picolet: .*" + args[0])
	if len(said) != 1 || !want.MatchString(said[0]) {
		ts.Fatalf("picolet %q said %q, want one line that matches %q", args[1:], said, want)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("picolet %q printed %q", args[1:], out)
	}
}

// freeAddress is an address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
