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

// Problem is one thing that is wrong with a CSV file. It repeats no cell.
type Problem struct {
	Line   int // from 1
	Column int // byte in the line, from 1; 0: the whole line
	Field  string
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
	ErrTwice     = errors.New("stands there twice")
	ErrTooMany   = errors.New("the file is too large: at most 10000 boards and 4 MiB")
	ErrNoSecret  = errors.New("is missing; for an open network say so by --open")
	ErrCellCount = errors.New("the line has not as many cells as the first: quote a cell that has commas in it")
)

func columnNames() []string {
	var names []string
	for _, f := range Fields() {
		names = append(names, f.Name)
	}
	return names
}

// ReadCSV reads the settings of many boards. The first line names the columns,
// lines that begin with # are comments. What a line leaves empty is taken from
// defaults; a network without a passphrase must be allowed by open. If anything
// is wrong, the error is Problems or that of r, and no settings are returned.
func ReadCSV(r io.Reader, defaults settings.Settings, open bool) ([]settings.Settings, error) {
	limited := &io.LimitedReader{R: r, N: maxCSV + 1}
	t := table{defaults: defaults, open: open, lineOf: map[string]int{}, csv: csv.NewReader(skipMark(limited))}
	t.csv.Comment = '#'
	t.csv.TrimLeadingSpace = true
	t.csv.FieldsPerRecord = -1
	err := t.read()
	if limited.N <= 0 || len(t.boards) > maxBoards {
		err = ErrTooMany
	}
	if err != nil {
		return nil, err
	}
	if len(t.problems) > 0 {
		return nil, t.problems
	}
	return t.boards, nil
}

// skipMark leaves out the byte order mark that spreadsheets write.
func skipMark(r io.Reader) io.Reader {
	var begin [3]byte
	n, _ := io.ReadFull(r, begin[:]) // whatever is wrong comes again
	if string(begin[:n]) == "\xef\xbb\xbf" {
		n = 0
	}
	return io.MultiReader(strings.NewReader(string(begin[:n])), r)
}

// table is a CSV file in reading.
type table struct {
	csv      *csv.Reader
	defaults settings.Settings
	open     bool
	columns  []Field
	lineOf   map[string]int // by node name
	boards   []settings.Settings
	problems Problems
}

// read returns errors of the reader alone.
func (t *table) read() error {
	for len(t.boards) <= maxBoards {
		cells, err := t.csv.Read()
		var syntax *csv.ParseError
		switch {
		case err == io.EOF:
			if len(t.boards) == 0 && len(t.problems) == 0 {
				t.problems = Problems{{Line: 1, Err: ErrEmpty}}
			}
			return nil
		case errors.As(err, &syntax):
			t.problems = append(t.problems, Problem{Line: syntax.Line, Column: syntax.Column, Err: syntax.Err})
			if t.columns == nil {
				return nil // what follows cannot be told
			}
		case err != nil:
			return err
		case t.columns == nil:
			if !t.header(cells) {
				return nil
			}
		default:
			t.row(cells)
		}
	}
	return nil
}

func (t *table) problem(cell int, field string, err error) {
	line, column := t.csv.FieldPos(cell)
	t.problems = append(t.problems, Problem{line, column, field, err})
}

// header reads the names of columns; false if one is wrong. A name is repeated
// only where the line is a header without doubt.
func (t *table) header(names []string) bool {
	for i, name := range names {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	if !slices.Contains(names, "node-name") {
		t.problem(0, "", ErrHeader)
		return false
	}
	for i, name := range names {
		at := slices.IndexFunc(Fields(), func(f Field) bool { return f.Name == name })
		switch {
		case at < 0:
			t.problem(i, fmt.Sprintf("%.40q", name), ErrColumn)
		case slices.Contains(names[:i], name):
			t.problem(i, name, ErrTwice)
		default:
			t.columns = append(t.columns, Fields()[at])
		}
	}
	return len(t.problems) == 0
}

// row reads one board.
func (t *table) row(cells []string) {
	if len(cells) != len(t.columns) {
		t.problem(0, "", ErrCellCount)
		return
	}
	before := len(t.problems)
	s := t.defaults
	for i, f := range t.columns {
		if cells[i] == "" {
			continue
		}
		if err := f.Set(&s, cells[i]); err != nil {
			t.problem(i, f.Name, err)
		}
	}
	if len(t.problems) == before {
		t.whole(s)
	}
	t.boards = append(t.boards, s)
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
	if _, err := UF2(s); err != nil {
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
