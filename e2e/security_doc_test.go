// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A claim names its test as `PACKAGE.TestName`, the package by its folder.
var (
	namedTest = regexp.MustCompile("`([a-z0-9/-]+)\\.((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	anyTest   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
)

// TestSecurityClaimsNameTests: docs/security.md names tests that exist, and the
// sections that claim something name one in each of their claims.
func TestSecurityClaimsNameTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "security.md"))
	must(t, err)
	named := namedTest.FindAllStringSubmatch(string(text), -1)
	if len(named) < 60 {
		t.Errorf("only %d tests are named", len(named))
	}
	if all := len(anyTest.FindAllString(string(text), -1)) - 1; all != len(named) { // one shows how
		t.Errorf("%d names of tests, of which %d are written as `PACKAGE.TestName`", all, len(named))
	}
	tests := map[string]map[string]bool{}
	for _, n := range named {
		folder, name := n[1], n[2]
		if tests[folder] == nil {
			tests[folder] = testsOf(t, filepath.Join("..", folder))
		}
		if !tests[folder][name] {
			t.Errorf("%s.%s is named, and is not there", folder, name)
		}
	}
	for _, claim := range claims(string(text)) {
		if !namedTest.MatchString(claim) {
			t.Errorf("this claim names no test: %s", claim)
		}
	}
}

// claims are the list items of the sections that promise something.
func claims(text string) (all []string) {
	for _, section := range strings.Split(text, "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		switch title {
		case "Limits", "Somebody has a board", "Somebody has the gateway", "Rotate and revoke": // what is lost, and advice
			continue
		}
		for _, item := range strings.Split(body, "\n- ")[1:] {
			item, _, _ = strings.Cut(item, "\n\n")
			all = append(all, item)
		}
	}
	return all
}

// testsOf are the tests that a folder declares.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	must(t, err)
	found := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
