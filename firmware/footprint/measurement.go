// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// measurement is what a program took of a board while it ran, as a file in JSON.
type measurement struct {
	// Heap is the most bytes of heap in use. It may hold goroutines' stacks.
	Heap uint64 `json:"heap"`
	// Stack is the most bytes of stack in use by the main goroutine.
	Stack uint64 `json:"stack"`
	// Run says what was run, for people: "an hour, emulated".
	Run string `json:"run"`
}

func readMeasurement(path string) (*measurement, error) {
	m := &measurement{}
	if err := readJSON(path, m); err != nil {
		return nil, err
	}
	if m.Heap == 0 || m.Stack == 0 || m.Run == "" || strings.ContainsAny(m.Run, "|\n") {
		return nil, fmt.Errorf("%s: heap and stack must be more than 0 bytes, and run must say in a line without | what was run", path)
	}
	return m, nil
}

// budget is the most bytes that a target may take.
type budget struct {
	Flash  uint64 `json:"flash"`
	Static uint64 `json:"static"`
	Heap   uint64 `json:"heap,omitempty"`  // Optional [not looked at]
	Stack  uint64 `json:"stack,omitempty"` // Optional [not looked at]
}

// checkBudgets returns an error that names every excess.
func checkBudgets(path string, rows []row) error {
	var budgets map[string]budget
	if err := readJSON(path, &budgets); err != nil {
		return err
	}
	var all []error
	for _, r := range rows {
		b, ok := budgets[r.target]
		if !ok {
			all = append(all, fmt.Errorf("%s has no budget: give it one in %s", r.target, path))
			continue
		}
		all = append(all, b.check(r)...)
	}
	return errors.Join(all...)
}

func (b budget) check(r row) (all []error) {
	var m measurement
	if r.measured != nil {
		m = *r.measured
	} else if b.Heap > 0 || b.Stack > 0 {
		all = append(all, fmt.Errorf("%s has a budget of heap or stack and was not measured: write %s=FILE.elf:MEASURED.json", r.target, r.target))
	}
	for _, c := range []struct {
		what         string
		takes, limit uint64
		optional     bool
	}{
		{"flash", r.flash, b.Flash, false},
		{"static RAM", r.static, b.Static, false},
		{"heap", m.Heap, b.Heap, true},
		{"stack", m.Stack, b.Stack, true},
	} {
		if c.takes > c.limit && !(c.optional && c.limit == 0) {
			all = append(all, fmt.Errorf("%s takes %d bytes of %s, %d over its budget of %d", r.target, c.takes, c.what, c.takes-c.limit, c.limit))
		}
	}
	return all
}

// readJSON reads a file that has the fields of v and no others.
func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
