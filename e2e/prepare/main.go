// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command prepare puts what the end-to-end tests need from the network into the
// user's cache: they run in a network of their own, from which nothing can be
// fetched. What is there already is left as it is.
//
//	go run ./e2e/prepare
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/picolet/picolet/e2e/internal/tools"
	"github.com/picolet/picolet/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := errors.Join(buildTools(ctx), installEmulator(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func buildTools(ctx context.Context) error {
	o := tools.Options{Source: filepath.Join("e2e", "tools")}
	_, err := tools.Find(o)
	if errors.Is(err, tools.ErrNotBuilt) {
		fmt.Fprintln(os.Stderr, "Building metrics-server and Prometheus for tests; the first time takes about 5 min")
		_, err = tools.Build(ctx, o)
	}
	return err
}

// installEmulator leaves out what a person's machine cannot run.
func installEmulator(ctx context.Context) error {
	_, err := emulator.Install(ctx, emulator.InstallOptions{Progress: func(step string) { fmt.Fprintln(os.Stderr, step) }})
	if errors.Is(err, emulator.ErrNoNode) && os.Getenv("CI") != "true" {
		fmt.Fprintln(os.Stderr, "The emulated Pico W is left out:", err)
		return nil
	}
	return err
}
