// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package picolet_test holds the rules that the folders of this module keep
// towards one another. Each rule says why it is there.
package picolet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/picolet/picolet"

// pkg is what go list says of a package, without its tests.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// room is the first folder of a package's path, "kubelet"; "" for others.
func room(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// packages lists the module. The list does not depend on this machine, but for
// files that are built on some systems only.
func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// portable tells whether a package is compiled for boards.
func portable(path string) bool {
	return room(path) == "kubelet" || path == module+"/board" || path == module+"/board/flash" || path == module+"/settings" ||
		path == module+"/link/noise" || path == module+"/linked"
}

// portableImports is all that the portable core may import of the standard
// library. What these bring along themselves is the board's compiler's matter.
var portableImports = map[string]string{
	"bytes":           "comparing and searching, no allocation",
	"encoding/binary": "byte order of stored records",
	"errors":          "comparable errors",
	"math":            "limits of integers",
	"math/bits":       "bit sets",
	"strconv":         "numbers to text without fmt",
	"time":            "durations; dates are wallclock's, reading a clock is refused by another rule",
	"unicode/utf8":    "JSON strings",
	"unsafe":          "bytes as string without a copy, in kubelet/text",
}

// moreImports is what single packages of the portable core may import beside.
var moreImports = map[string]map[string]string{
	module + "/link/noise": {
		"github.com/flynn/noise":               "the handshake: a protocol that nobody should write anew; TinyGo compiles it",
		"golang.org/x/crypto/chacha20poly1305": "the cipher of flynn/noise, used directly: its own wrapper allocates for each message",
		"crypto/cipher":                        "the interface of that cipher",
		"crypto/ecdh":                          "X25519, in half the time that flynn/noise takes with it",
		"io":                                   "the interface by which flynn/noise asks for an ephemeral key",
	},
}

// whyNot gives the reason for imports that somebody is likely to add.
var whyNot = map[string]string{
	"context":       "the core has no goroutines to cancel: deadlines are times since boot",
	"encoding/json": "costs 143 KB of flash and allocates; use kubelet/jsonstream",
	"fmt":           "brings reflect and allocates; append to a buffer, use strconv",
	"io":            "streams are the caller's: the core takes and gives bytes",
	"log":           "use kubelet/logring",
	"log/slog":      "costs 164 KB of flash; use kubelet/logring",
	"net":           "TinyGo has none on the board: whoever drives the core dials",
	"net/http":      "TinyGo has none on the board; use kubelet/http1",
	"os":            "a board has no files: see board.Storage",
	"reflect":       "bloats the firmware and allocates",
	"regexp":        "costs 130 KB of flash",
	"sync":          "one goroutine owns a kubelet",
}

func TestPortableCoreImportsNothingThatABoardLacks(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range packages(t) {
		if !portable(p.ImportPath) {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if portable(imp) || portableImports[imp] != "" || moreImports[p.ImportPath][imp] != "" {
				continue
			}
			why := whyNot[imp]
			if why == "" {
				why = "it is not on the list of what a board can afford; add it to portableImports with its reason"
			}
			t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
		}
	}
	if seen < 8 {
		t.Errorf("only %d packages of the core were found", seen)
	}
}

// clocks are the functions of package time that read a clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// The core is a function of state, input and time: whatever runs by itself in
// it could not be tested by a transcript nor run by a polling firmware.
func TestPortableCoreRunsNothingByItself(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !portable(p.ImportPath) {
			continue
		}
		for _, name := range p.GoFiles {
			inspectFile(t, filepath.Join(p.Dir, name), room(p.ImportPath)+"/"+name)
		}
	}
}

func inspectFile(t *testing.T, path, shown string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			what = "starts a goroutine"
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			what = "uses channels"
		case *ast.MapType:
			what = "uses a map, which allocates"
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				what = "reads a clock: time." + n.Sel.Name
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.Ident)
			switch {
			case ok && (f.Name == "panic" || f.Name == "recover" || f.Name == "println"):
				what = "calls " + f.Name + ", from which a board does not come back"
			case ok && f.Name == "string" && strings.HasPrefix(shown, "kubelet/"): // it runs all day long
				what = "converts to string, which allocates on a board even for a comparison: see kubelet/text"
			}
		}
		if what != "" {
			t.Errorf("%s:%d %s", shown, fset.Position(n.Pos()).Line, what)
		}
		return true
	})
}

// below says which rooms a room may import. Nothing imports cmd and e2e.
var below = map[string]struct {
	rooms []string
	why   string
}{
	"board":       {nil, "hardware knows no kubelet"},
	"kubelet":     {[]string{"board"}, "the core asks of hardware and of nothing else"},
	"settings":    {[]string{"kubelet", "board"}, "what a board is told; who drives a board hands it on"},
	"uf2":         {nil, "a file format"},
	"provision":   {[]string{"settings", "uf2", "kubelet", "board"}, "it writes settings for boards"},
	"link":        {nil, "byte streams know not what runs over them"},
	"linked":      {[]string{"kubelet", "link"}, "it puts the streams of a kubelet into a link, for whoever drives it"},
	"gateway":     {[]string{"link", "apistatus"}, "the gateway sees what is on the wire; but for the protocol of links it shares no code with boards, so that it trusts none"},
	"kubeletport": {[]string{"apistatus"}, "it sees boards as HTTP on a stream, and the cluster through client-go"},
	"apistatus":   {nil, "words for refusals, for whoever refuses"},
	"api":         {nil, "objects of the cluster, for whoever reads them"},
	"credentials": {nil, "certificates of nodes, for whoever acts for them"},
	"enrolment":   {[]string{"api"}, "it decides about keys by Devices, whatever link they come by"},
	"replica":     {[]string{"api", "credentials", "deploy", "enrolment", "gateway", "kubeletport", "link"}, "it puts one gateway process together; boards and clusters are others' matter"},
	"netns":       {nil, "a network for tests"},
	"testlog":     {nil, "a log for tests"},
	"cluster":     {nil, "it starts a control plane, whoever asks"},
	"emulator":    {nil, "it sees a board from outside, whatever firmware that runs"},
	"deploy":      {nil, "manifests and their application"},
	"fleet":       {[]string{"kubelet", "link", "board"}, "it drives kubelets over links"},
	"cmd":         {[]string{"api", "enrolment", "credentials", "board", "kubelet", "link", "linked", "gateway", "kubeletport", "replica", "cluster", "deploy", "fleet", "settings", "provision", "emulator"}, "it wires the rooms together"},
	"e2e":         {[]string{"api", "enrolment", "credentials", "board", "kubelet", "link", "linked", "gateway", "kubeletport", "replica", "netns", "cluster", "deploy", "fleet", "settings", "provision", "emulator"}, "it tries them together"},
}

func TestRoomsImportOnlyDownwards(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		rule, known := below[from]
		if !known && p.ImportPath != module {
			t.Errorf("%s is in no room: give it one in this test, with the reason", p.ImportPath)
		}
		for _, imp := range p.Imports {
			if to := room(imp); to != "" && to != from && !slices.Contains(rule.rooms, to) {
				t.Errorf("%s imports %s, but %s: %s", p.ImportPath, imp, from, rule.why)
			}
		}
	}
}

// A control plane in the root module would make everybody who imports a
// kubelet download all of Kubernetes.
func TestRootModuleIsFreeOfKubernetesItself(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "k8s.io/kubernetes") || strings.HasPrefix(imp, "k8s.io/apiserver") {
				t.Errorf("%s imports %s, which belongs to the module controlplane", p.ImportPath, imp)
			}
		}
	}
}

// Packages are named for what they provide.
func TestPackageNames(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if name := filepath.Base(p.ImportPath); slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "base", "internal"}, name) {
			t.Errorf("%s: a package named %s says nothing of what is in it", p.ImportPath, name)
		}
	}
}
