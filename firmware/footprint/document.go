// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// The lines in a document between which the table goes.
const (
	beginMark = "<!-- footprint: written by firmware/footprint -->\n"
	endMark   = "<!-- footprint: end -->\n"
)

// replaceTable puts a table into a document.
func replaceTable(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return fmt.Errorf("%s: it needs the lines %q and %q, for the table to go in between", path, beginMark, endMark)
	}
	return os.WriteFile(path, []byte(before+beginMark+table+endMark+after), 0o644)
}
