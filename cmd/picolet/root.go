// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

const firstScreen = `picolet makes microcontrollers nodes of a Kubernetes cluster.

  picolet up                                    a cluster with three virtual boards, on this machine
  picolet gateway --kubeconfig FILE             let boards into a cluster that is there
  picolet node --name NAME --gateway HOST       make this machine a node

"picolet COMMAND --help" tells what a command can do, "picolet help" what commands there are.
`

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "picolet",
		Short:         "picolet makes microcontrollers nodes of a Kubernetes cluster",
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), firstScreen)
			return err
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%v; see %q", err, c.CommandPath()+" --help")
	})
	root.AddCommand(newUpCommand(), newGatewayCommand(), newNodeCommand(), newProvisionCommand(), newEmulateCommand(), newVersionCommand(), newControlPlaneCommand())
	return root
}

// noArguments refuses what is neither a flag nor a command.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasSubCommands() {
		return usagef("%s takes flags only, got %q; see %q", c.CommandPath(), args[0], c.CommandPath()+" --help")
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; did you mean %q?", args[0], c.CommandPath()+" "+near[0])
	}
	return usagef("there is no command %q; see %q", args[0], c.CommandPath()+" --help")
}

// logFlag is --log-level.
type logFlag struct{ level slog.Level }

func addLogFlag(c *cobra.Command, level slog.Level) *logFlag {
	f := &logFlag{level}
	c.Flags().Var(f, "log-level", "what to log on standard error: debug, info, warn or error")
	return f
}

func (f *logFlag) String() string { return strings.ToLower(f.level.String()) }
func (f *logFlag) Type() string   { return "LEVEL" }

func (f *logFlag) Set(s string) error {
	if err := f.level.UnmarshalText([]byte(s)); err != nil {
		return fmt.Errorf("choose debug, info, warn or error")
	}
	return nil
}

// logger logs to w, and lets the Kubernetes client log there too, until ctx ends.
func (f *logFlag) logger(ctx context.Context, w io.Writer) *slog.Logger {
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: f.level}))
	slog.SetDefault(log)
	klog.SetSlogLogger(slog.New(untilDone{log.Handler(), ctx}).With("component", "client-go"))
	return log
}

// untilDone logs nothing once ctx has ended: the Kubernetes client takes each request
// that Ctrl-C has ended for a failure.
type untilDone struct {
	slog.Handler
	ctx context.Context
}

// Handle implements slog.Handler. Errors of klog come here without asking Enabled.
func (h untilDone) Handle(ctx context.Context, r slog.Record) error {
	if h.ctx.Err() != nil {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h untilDone) WithAttrs(attrs []slog.Attr) slog.Handler {
	return untilDone{h.Handler.WithAttrs(attrs), h.ctx}
}

// WithGroup implements slog.Handler.
func (h untilDone) WithGroup(name string) slog.Handler {
	return untilDone{h.Handler.WithGroup(name), h.ctx}
}
