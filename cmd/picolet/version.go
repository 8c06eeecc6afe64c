// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/picolet/picolet/kubelet"
)

// version is set by -ldflags "-X main.version=v1.2.3"; else the module's
// version counts.
var version string

// kubernetesLines are the release lines that picolet is tested against.
var kubernetesLines = []string{"1.37", "1.36"}

// kubeletVersions are the versions that the nodes of picolet up report, by
// release line.
var kubeletVersions = map[string]string{"1.37": "v1.37.2", "1.36": kubelet.OldestVersion}

// versions is what "picolet version" prints.
type versions struct {
	Picolet    string   `json:"picolet"`
	Go         string   `json:"go"`
	Platform   string   `json:"platform"`
	Kubernetes []string `json:"kubernetes"`
}

func newVersionCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of picolet, of Go, and of the Kubernetes that it works with",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return printVersions(c.OutOrStdout(), output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "`FORMAT` to print in: text or json")
	return c
}

func printVersions(w io.Writer, output string) error {
	v := versions{picoletVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, kubernetesLines}
	switch output {
	case "text":
		_, err := fmt.Fprintf(w, "picolet %s\nGo %s, %s\nKubernetes %s\n", v.Picolet, v.Go, v.Platform, strings.Join(v.Kubernetes, ", "))
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	return usagef("--output %q: choose text or json", output)
}

func picoletVersion() string {
	built := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		built = info.Main.Version
	}
	return cmp.Or(version, built, "(devel)")
}
