// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestProcessName(t *testing.T) {
	t.Parallel()
	own := strings.Fields(processName())
	if len(own) != 4 {
		t.Fatalf("name %q", own)
	}
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Skip(err)
	}
	name := func(change func(f []string)) string {
		f := append([]string(nil), own...)
		change(f)
		return strings.Join(f, " ")
	}
	for what, tt := range map[string]struct {
		name string
		want bool
	}{
		"this one":                 {name(func([]string) {}), false},
		"its parent":               {name(func(f []string) { f[2], f[3] = fmt.Sprint(os.Getppid()), startTime(os.Getppid()) }), false},
		"one that has ended":       {name(func(f []string) { f[2] = fmt.Sprint(ended.Process.Pid) }), true},
		"an earlier one of its ID": {name(func(f []string) { f[3] = "1" }), true},
		"of another boot":          {name(func(f []string) { f[0], f[3] = "x", "1" }), false},
		"of another container":     {name(func(f []string) { f[1], f[3] = "pid:[1]", "1" }), false},
		"all processes":            {name(func(f []string) { f[2], f[3] = "-1", "1" }), false},
		"no name":                  {"", false},
		"half a name":              {own[0] + " " + own[1], false},
	} {
		if got := isDead(tt.name); got != tt.want {
			t.Errorf("%s: %q is dead: %v", what, tt.name, got)
		}
	}
}
