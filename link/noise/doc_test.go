// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A claim of the package comment is worth as much as the test that it names.
func TestClaimsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	claims, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(file)
	}
	names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(string(claims), -1)
	if len(names) < 10 {
		t.Errorf("the package comment names only %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(tests.String(), "\nfunc "+name+"(") {
			t.Errorf("the package comment names %s, which is not there", name)
		}
	}
}
