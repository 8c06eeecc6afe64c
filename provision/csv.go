// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/picolet/picolet/settings"
)

// Bounds of a CSV file.
const (
	maxCSV    = 4 << 20 // bytes
	maxBoards = 10_000
)

// Problem is one thing that is wrong with a CSV file. It repeats no cell, not
// even of the first line: in a file that was read wrongly, a passphrase can be
// in any.
type Problem struct {
	Line   int    // from 1
	Column int    // byte in the line, from 1; 0: the whole line
	Field  string // one of Fields; "": none in particular
	Err    error
}

func (p Problem) Error() string {
	where := fmt.Sprint(p.Line)
	if p.Column > 0 {
		where += fmt.Sprint(":", p.Column)
	}
	if p.Field != "" {
		where += ": " + p.Field
	}
	return where + ": " + p.Err.Error()
}

func (p Problem) Unwrap() error { return p.Err }

// Problems are all that is wrong with a CSV file, by line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Errors of lines.
var (
	ErrEmpty     = errors.New("there is no board in the file: give each a line")
	ErrHeader    = errors.New("the first line must name the columns, separated by commas: node-name, ssid, passphrase, gateway, …")
	ErrColumn    = errors.New("there is no such column; there are " + strings.Join(columnNames(), ", "))
	ErrNameless  = errors.New("the cell is in a column without a name: name the column in the first line, or empty the cell")
	ErrTwice     = errors.New("stands there twice")
	ErrTooMany   = errors.New("the file is too large: at most 10000 boards and 4 MiB")
	ErrNoSecret  = errors.New("is missing; for an open network say so by --open")
	ErrCellCount = errors.New("the line has not as many cells as the first: quote a cell that has commas in it, and give every line all its commas")
)

func columnNames() []string {
	var names []string
	for _, f := range Fields() {
		names = append(names, f.Name)
	}
	return names
}

// ReadCSV reads the settings of many boards from UTF-8 whose lines end with LF,
// CRLF or CR. The first line names the columns; before it, lines that begin with
// # are comments. Lines of empty cells, and columns that have neither a name nor
// content, are skipped. Blanks around a cell are part of an SSID or a secret, and
// of nothing else. What a line leaves empty is taken from defaults; a network
// without a passphrase must be allowed by open. If anything is wrong, the error is
// Problems or that of r, and no settings are returned.
func ReadCSV(r io.Reader, defaults settings.Settings, open bool) ([]settings.Settings, error) {
	file, err := io.ReadAll(io.LimitReader(r, maxCSV+1))
	switch {
	case err != nil:
		return nil, err
	case len(file) > maxCSV:
		return nil, ErrTooMany
	}
	text, err := plainText(file)
	if err != nil {
		return nil, err
	}
	t := table{defaults: defaults, open: open, lineOf: map[string]int{}, csv: csv.NewReader(strings.NewReader(text))}
	t.csv.FieldsPerRecord = -1
	t.read()
	switch {
	case len(t.boards) > maxBoards:
		return nil, ErrTooMany
	case len(t.problems) > 0:
		return nil, t.problems
	}
	return t.boards, nil
}

// table is a CSV file in reading.
type table struct {
	csv      *csv.Reader
	defaults settings.Settings
	open     bool
	columns  []Field        // nil before the header; one without a name for each nameless column
	lineOf   map[string]int // by node name
	boards   []settings.Settings
	problems Problems
}

// read reads all lines, or as many as make sense and are allowed.
func (t *table) read() {
	for len(t.boards) <= maxBoards {
		cells, err := t.csv.Read()
		syntax, isSyntax := errors.AsType[*csv.ParseError](err)
		switch {
		case isSyntax:
			t.problems = append(t.problems, Problem{Line: syntax.Line, Column: syntax.Column, Err: syntax.Err})
			if t.columns == nil {
				return // what follows has no meaning
			}
		case err != nil: // the end: there is no other error of a string
			if len(t.boards) == 0 && len(t.problems) == 0 {
				t.problems = Problems{{Line: 1, Err: ErrEmpty}}
			}
			return
		case isBlank(cells):
		case t.columns != nil:
			t.row(cells)
		case strings.HasPrefix(cells[0], "#"): // no column has such a name
		case !t.header(cells):
			return
		}
	}
}

func isBlank(cells []string) bool {
	return !slices.ContainsFunc(cells, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

func (t *table) problem(cell int, field string, err error) {
	line, column := t.csv.FieldPos(cell)
	t.problems = append(t.problems, Problem{line, column, field, err})
}

// header reads the names of columns; false if one is wrong.
func (t *table) header(names []string) bool {
	for i, name := range names {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	if !slices.Contains(names, "node-name") {
		t.problem(0, "", ErrHeader)
		return false
	}
	t.columns = make([]Field, len(names))
	for i, name := range names {
		at := slices.IndexFunc(Fields(), func(f Field) bool { return f.Name == name })
		switch {
		case name == "":
		case at < 0:
			t.problem(i, "", ErrColumn)
		case slices.Contains(names[:i], name):
			t.problem(i, name, ErrTwice)
		default:
			t.columns[i] = Fields()[at]
		}
	}
	return len(t.problems) == 0
}

// row reads one board.
func (t *table) row(cells []string) {
	if n := len(t.columns); len(cells) < n || !isBlank(cells[n:]) {
		t.problem(0, "", ErrCellCount)
		return
	}
	before := len(t.problems)
	s := t.defaults
	for i, f := range t.columns {
		if err := f.setCell(&s, cells[i]); err != nil {
			t.problem(i, f.Name, err)
		}
	}
	if len(t.problems) == before {
		s = Complete(s)
		t.whole(s)
	}
	t.boards = append(t.boards, s)
}

// setCell sets the field of a column to what a cell holds, if it holds anything.
func (f Field) setCell(s *settings.Settings, cell string) error {
	trimmed := strings.TrimSpace(cell)
	switch {
	case trimmed == "":
		return nil
	case f.Name == "":
		return ErrNameless
	case f.blanks:
		return f.Set(s, cell)
	}
	return f.Set(s, trimmed)
}

// whole checks what only the whole line tells.
func (t *table) whole(s settings.Settings) {
	line, _ := t.csv.FieldPos(0)
	missing := func(field string, err error) {
		t.problems = append(t.problems, Problem{Line: line, Field: field, Err: err})
	}
	before := len(t.problems)
	for _, field := range Missing(s, t.open) {
		if field == "passphrase" {
			missing(field, ErrNoSecret)
		} else {
			missing(field, ErrMissing)
		}
	}
	if earlier := t.lineOf[s.NodeName]; earlier > 0 {
		missing("node-name", fmt.Errorf("is that of line %d", earlier))
	}
	t.lineOf[s.NodeName] = line
	if len(t.problems) > before {
		return
	}
	switch _, err := UF2(s); err {
	case nil:
	case settings.ErrWPA3:
		missing("wpa3", &invalid{err})
	default:
		missing("", &invalid{err})
	}
}

// Missing names the fields without which a board can do nothing: those that are
// required, and the passphrase unless the network is open.
func Missing(s settings.Settings, open bool) []string {
	var names []string
	for _, f := range [...]struct {
		name    string
		missing bool
	}{
		{"node-name", s.NodeName == ""},
		{"ssid", s.SSID == ""},
		{"passphrase", s.Passphrase == "" && !open},
		{"gateway", s.Gateway == ""},
	} {
		if f.missing {
			names = append(names, f.name)
		}
	}
	return names
}
