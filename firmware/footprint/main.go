// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command footprint prints what firmware images take of a board, as a table in
// Markdown.
//
//	go run ./footprint pico-w=picolet-pico-w.elf core=core.elf
//
// It reads ELF files and runs nothing: what a program takes while it runs, it
// does not know.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name the images, as TARGET=FILE.elf")
	}
	var rows []row
	for _, arg := range args {
		target, path, ok := strings.Cut(arg, "=")
		if !ok || target == "" || path == "" || strings.ContainsAny(target, "|\n") {
			return fmt.Errorf("%q: write TARGET=FILE.elf", arg)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		size, err := read(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		rows = append(rows, row{target, size})
	}
	return writeTable(w, rows)
}

// row is a line of the table.
type row struct {
	target string
	footprint
}

func writeTable(w io.Writer, rows []row) error {
	var b strings.Builder
	b.WriteString("| Target | Flash, bytes | Static RAM, bytes | Stacks, bytes | Left for the heap, bytes |\n")
	b.WriteString("|---|---:|---:|---:|---:|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", r.target, r.flash, r.static, r.stack, r.heap)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
