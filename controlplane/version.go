// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"k8s.io/component-base/version"

	"github.com/picolet/picolet/controlplane/internal/datastore"
)

func printVersion(out io.Writer) error {
	kinds := make([]string, len(datastore.Kinds))
	for i, k := range datastore.Kinds {
		kinds[i] = string(k)
	}
	_, err := fmt.Fprintf(out, "Kubernetes %s\nkine       %s\ndatastores %s\nGo         %s\n",
		version.Get().GitVersion, moduleVersion("github.com/k3s-io/kine"), strings.Join(kinds, ", "), runtime.Version())
	return err
}

// moduleVersion returns the version of a module in this binary, or "unknown".
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil {
			return dep.Replace.Version
		}
		return dep.Version
	}
	return "unknown"
}
