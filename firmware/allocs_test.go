// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// mayAllocate are the functions of the core that take memory from a board's
// heap, all of them before the node does anything. The compiler of boards finds
// more that escapes than Go's, and its testing.AllocsPerRun counts nothing.
var mayAllocate = map[string]string{
	"Configure":       "claims all memory",
	"configure":       "claims the buffers of a stream",
	"routes":          "makes the routes of the kubelet port, for Configure",
	"setDefaults":     "names the default ConfigMap, for Configure",
	"UnmarshalBinary": "reads the stored record at boot",
}

// TestCoreAllocatesAtBootOnly: whatever happens, a node that runs takes no
// memory, so that it cannot run out of it.
func TestCoreAllocatesAtBootOnly(t *testing.T) {
	t.Parallel()
	said := run(t, compiler(t).Command(t.Context(), "build", "-target=pico", "-serial=uart", "-print-allocs=picolet/picolet/(kubelet|board)",
		"-o="+filepath.Join(t.TempDir(), "core.elf"), "./core"))
	used := map[string]bool{}
	for line := range strings.Lines(said) {
		at, _, isPlace := strings.Cut(line, " ")
		file, position, ok := strings.Cut(at, ".go:")
		if !ok || !isPlace {
			continue
		}
		var row int
		if _, err := fmt.Sscanf(position, "%d.", &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		name := enclosing(t, file+".go", row)
		used[name] = true
		if mayAllocate[name] == "" {
			t.Errorf("%s.go:%d: %s takes memory from the heap: keep the value in a struct that is there already", file, row, name)
		}
	}
	for name := range mayAllocate {
		if !used[name] {
			t.Errorf("%s takes no memory: strike it off mayAllocate", name)
		}
	}
}

// enclosing is the name of the function around a line.
func enclosing(t *testing.T, file string, line int) string {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && fset.Position(f.Pos()).Line <= line && line <= fset.Position(f.End()).Line {
			return f.Name.Name
		}
	}
	return "an initialisation"
}
