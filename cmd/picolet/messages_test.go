// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// advised are the packages whose messages users read, with the command that runs
// them; "" is any command of picolet.
var advised = map[string]string{
	"gateway": "picolet gateway", "enrolment": "picolet gateway", "replica": "picolet gateway",
	"credentials": "picolet gateway", "kubeletport": "picolet gateway",
	"cmd/picolet": "", "cmd/kubectl-pico": "kubectl pico",
	"fleet": "", "linked": "", "provision": "", "settings": "", "uf2": "", "cluster": "", "emulator": "", "deploy": "",
}

// foreign are flags of other programs that messages name.
var foreign = map[string]string{
	"--verb": "kubectl create role", "--resource": "kubectl create role", "--resource-name": "kubectl create role",
	"--role": "kubectl create rolebinding", "--serviceaccount": "kubectl create rolebinding", "--user": "kubectl create rolebinding",
	"--version": "npm", "--follow": "kubectl logs", "--raw": "kubectl get", "--type": "kubectl patch",
	"--client-ca-file": "kube-apiserver", "--authorization-mode": "kube-apiserver", "--kubelet-certificate-authority": "kube-apiserver", "--kubelet-preferred-address-types": "kube-apiserver",
	"--cluster-signing-cert-file": "kube-controller-manager", "--cluster-signing-key-file": "kube-controller-manager",
	"--cluster-signing-kube-apiserver-client-": "kube-controller-manager",
}

var (
	flagPattern  = regexp.MustCompile(`(?:^|[^-\w])(--[a-z][a-z0-9-]*)`)
	raisePattern = regexp.MustCompile(`(?i)\b(?:raise|widen|lower|increase) ([^\s,;:]+)`)
	fieldPattern = regexp.MustCompile(`(fields? )?\b(?:Max|Min)[A-Z]\w+`)
)

// TestMessagesNameFlags: a flag that a message names is one of the command that
// prints it, and a limit that a message advises to raise is such a flag, not a field.
func TestMessagesNameFlags(t *testing.T) {
	t.Parallel()
	flags := commandFlags(newRootCommand())
	pico := picoFlags(t)
	for dir, command := range advised {
		known := flags[command]
		if dir == "cmd/kubectl-pico" {
			known = pico
		}
		for at, text := range messagesOf(t, filepath.Join("..", "..", dir)) {
			for _, problem := range problemsOf(text, func(flag string) bool {
				return known[flag] || foreign[flag] != "" || strings.Contains(text, "kubectl pico") && pico[flag] ||
					strings.Contains(text, "picolet ") && flags[""][flag]
			}) {
				t.Errorf("%s: %s: %q", at, problem, text)
			}
			// "picolet up" runs a gateway, too.
			for _, m := range raisePattern.FindAllStringSubmatch(text, -1) {
				if strings.HasPrefix(m[1], "--max-") && !flags["picolet up"][m[1]] {
					t.Errorf("%s: picolet up has no flag %s", at, m[1])
				}
			}
		}
	}
}

func problemsOf(text string, known func(flag string) bool) (problems []string) {
	for _, m := range flagPattern.FindAllStringSubmatch(text, -1) {
		if !known(m[1]) {
			problems = append(problems, "there is no flag "+m[1])
		}
	}
	for _, m := range raisePattern.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "--") {
			problems = append(problems, "name the flag to raise")
		}
	}
	for _, m := range fieldPattern.FindAllStringSubmatch(text, -1) {
		if m[1] == "" {
			problems = append(problems, "users cannot set a field")
		}
	}
	return problems
}

// TestMessageProblems: the test above can fail.
func TestMessageProblems(t *testing.T) {
	t.Parallel()
	known := func(flag string) bool { return flag == "--max-boards" }
	for text, want := range map[string]int{
		"all in use; raise MaxBoards": 2, "all in use; raise the limit": 1, "raise --max-boards": 0, "raise --max-nodes, or wait": 1,
		"field MaxBoards is -1: give a positive number": 0, "a--b": 0, "give --maxx=NUMBER": 1,
	} {
		if got := problemsOf(text, known); len(got) != want {
			t.Errorf("%q: %q, want %d", text, got, want)
		}
	}
}

// commandFlags are the flags of each command, and under "" those of all.
func commandFlags(root *cobra.Command) map[string]map[string]bool {
	all := map[string]map[string]bool{"": {"--help": true}}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		own := map[string]bool{"--help": true}
		all[c.CommandPath()] = own
		for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags(), c.InheritedFlags()} {
			set.VisitAll(func(f *pflag.Flag) { own["--"+f.Name], all[""]["--"+f.Name] = true, true })
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return all
}

// picoFlags are those of kubectl pico, by its help.
func picoFlags(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "kubectl-pico", "testdata", "help", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no help of kubectl pico: %v", err)
	}
	all := make(map[string]bool)
	for _, file := range files {
		help, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
			all[m[1]] = true
		}
	}
	return all
}

// messagesOf are the texts of several words in a folder's code, by where they are.
func messagesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no code in %s: %v", dir, err)
	}
	texts := make(map[string]string)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && strings.Contains(text, " ") {
					texts[set.Position(l.Pos()).String()] = text
				}
			}
			return true
		})
	}
	return texts
}
