// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/help")

// TestHelp: what each command says of itself is in testdata/help, one file a command.
func TestHelp(t *testing.T) {
	t.Parallel()
	commands := []string{"", "list", "approve", "deny", "revoke", "token", "token create", "token list", "token delete"}
	for _, command := range commands {
		var out, err bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(command), "--help"), &out, &err); code != 0 || err.Len() > 0 {
			t.Fatalf("%s --help: exit code %d: %s", command, code, err.String())
		}
		name := strings.TrimSpace("kubectl pico " + command)
		file := filepath.Join("testdata", "help", strings.ReplaceAll(name, " ", "-"))
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, e := os.ReadFile(file)
		if e != nil || out.String() != string(want) {
			t.Errorf("%s --help says\n%s\nwant\n%s%v\n(go test ./cmd/kubectl-pico -update writes it)", name, out.String(), want, e)
		}
	}
	if files, err := filepath.Glob("testdata/help/*"); err != nil || len(files) != len(commands) {
		t.Errorf("%q, %v: want a file for each of %d commands", files, err, len(commands))
	}
}
