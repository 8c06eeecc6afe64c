// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command picolet-controlplane is a Kubernetes control plane in one process:
// kube-apiserver, kube-controller-manager, kube-scheduler and a datastore, with keys
// of its own. It also is kubectl, when called by that name. It is made for development
// and tests on one host; it runs no pods and is not highly available.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const usage = `picolet-controlplane runs a Kubernetes control plane in one process.

Usage:
  picolet-controlplane serve --dir DIR    run the control plane; state is kept in DIR
  picolet-controlplane kubectl ARGS...    the kubectl of the same version
  picolet-controlplane version            versions of Kubernetes and the datastore

Try:
  picolet-controlplane serve --dir /tmp/kubernetes &
  picolet-controlplane kubectl --kubeconfig /tmp/kubernetes/admin.kubeconfig get namespaces

"picolet-controlplane serve --help" lists all settings.
`

// Exit codes; 2 is what the flag package uses for a wrong command line.
const (
	exitFailure = 1
	exitUsage   = 2
)

// errUsage marks an error that the command line caused.
var errUsage = errors.New("")

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		kubectl()
		return
	}
	err := run(os.Args[1:], os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "picolet-controlplane: %v\n", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintf(os.Stderr, "picolet-controlplane: %v\n", err)
		os.Exit(exitFailure)
	}
}

func run(args []string, out io.Writer) error {
	command := "help"
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "serve":
		return serve(args[1:], out)
	case "kubectl":
		os.Args = append([]string{"kubectl"}, args[1:]...)
		kubectl()
		return nil
	case "version":
		return printVersion(out)
	case "help", "-h", "--help":
		_, err := io.WriteString(out, usage)
		return err
	}
	return fmt.Errorf("there is no command %q: try serve, kubectl or version%w", command, errUsage)
}
