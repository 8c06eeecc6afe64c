// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-pico is the kubectl plugin by which an administrator lets boards
// into a cluster: kubectl pico approve, deny, revoke, list, token.
//
// It changes Devices and join tokens, as plain kubectl could; before that it looks
// whether what is asked for can work. It talks to no gateway and to no board.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

const firstScreen = `kubectl pico lets boards into a cluster.

  kubectl pico list                  the boards that are known, and what was decided on them
  kubectl pico approve NAME          let a board in; NAME is a Device or a node
  kubectl pico revoke NAME           keep it out, from this second on
  kubectl pico token create          let the next boards in at once

"kubectl pico COMMAND --help" tells what a command can do.
`

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would be those of the process
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) { // joined errors: one for each NAME
		fmt.Fprintln(stderr, "kubectl pico:", strings.TrimSpace(line))
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that cannot be understood.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func newRootCommand() *cobra.Command {
	access := newAccess()
	root := &cobra.Command{
		Use:           "kubectl-pico",
		Short:         "Let boards into a cluster",
		Long:          "Let boards into a cluster. It takes the flags of kubectl that say which cluster and\nas whom, see \"kubectl options\".",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl pico"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          onlyCommands,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), firstScreen)
			return err
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%v; see %q", err, c.CommandPath()+" --help")
	})
	access.addFlags(root.PersistentFlags())
	root.AddCommand(newListCommand(access), newApproveCommand(access), newDenyCommand(access), newRevokeCommand(access), newTokenCommand(access))
	return root
}

// onlyCommands refuses what is neither a flag nor a command.
func onlyCommands(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("there is no command %q; see %q", args[0], c.CommandPath()+" --help")
	}
	return nil
}

// names wants at least one argument.
func names(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("say which: %s NAME; \"kubectl pico list\" shows names", c.CommandPath())
	}
	return nil
}
