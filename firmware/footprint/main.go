// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command footprint prints what firmware images take of a board, as a table in
// Markdown.
//
//	go run ./footprint pico-w=picolet-pico-w.elf core=core.elf
//	go run ./footprint -check budget.json -doc ../docs/footprint.md pico-w=picolet-pico-w.elf:soak.json
//
// It reads ELF files and runs nothing. What a program took while it ran is told by
// whoever ran it, in a file behind a colon: see type measurement. With -check it
// fails where an image takes more than its budget; with -doc it puts the table
// into a document, between two marks.
package main

import (
	"errors"
	"flag"
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
	flags := flag.NewFlagSet("footprint", flag.ContinueOnError)
	check := flags.String("check", "", "fail where a target takes more than this `file` says")
	doc := flags.String("doc", "", "put the table into this `file`, between its marks, instead of printing it")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: footprint [flags] TARGET=FILE.elf[:MEASURED.json] …")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	rows, err := readRows(flags.Args())
	if err != nil {
		return err
	}
	if *doc != "" {
		err = replaceTable(*doc, table(rows))
	} else {
		_, err = io.WriteString(w, table(rows))
	}
	if err != nil || *check == "" {
		return err
	}
	return checkBudgets(*check, rows)
}

// row is a line of the table.
type row struct {
	target string
	footprint
	measured *measurement // nil: nobody ran it
}

func readRows(args []string) ([]row, error) {
	if len(args) == 0 {
		return nil, errors.New("name the images, as TARGET=FILE.elf or TARGET=FILE.elf:MEASURED.json")
	}
	rows := make([]row, 0, len(args))
	for _, arg := range args {
		r, err := readRow(arg)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func readRow(arg string) (row, error) {
	target, files, ok := strings.Cut(arg, "=")
	path, measured, isMeasured := strings.Cut(files, ":")
	if !ok || target == "" || path == "" || isMeasured && measured == "" || strings.ContainsAny(target, "|\n") {
		return row{}, fmt.Errorf("%q: write TARGET=FILE.elf or TARGET=FILE.elf:MEASURED.json", arg)
	}
	f, err := os.Open(path)
	if err != nil {
		return row{}, err
	}
	defer f.Close()
	r := row{target: target}
	if r.footprint, err = read(f); err != nil {
		return row{}, fmt.Errorf("%s: %w", path, err)
	}
	if isMeasured {
		r.measured, err = readMeasurement(measured)
	}
	return r, err
}

// table writes the rows in Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| Target | Flash, bytes | Static RAM, bytes | Stacks, bytes | Left for the heap, bytes | Heap used at most, bytes | Stack used at most, bytes | Measured |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---|\n")
	for _, r := range rows {
		heap, stack, run := "", "", "no"
		if m := r.measured; m != nil {
			heap, stack, run = fmt.Sprint(m.Heap), fmt.Sprint(m.Stack), m.Run
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %s | %s | %s |\n", r.target, r.flash, r.static, r.stack, r.heap, heap, stack, run)
	}
	return b.String()
}
