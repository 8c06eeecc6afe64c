// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command toolchain runs the TinyGo that builds picolet's firmware, and builds it
// first where there is none.
//
//	go run ./toolchain                            prints the path of the compiler
//	go run ./toolchain build -target pico ./core  runs it
//	go run ./toolchain uf2 core.elf core.uf2      makes a file to drop on a board
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/picolet/picolet/firmware/toolchain/tinygo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited(): // the compiler has said why
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "toolchain:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 3 && args[0] == "uf2" {
		return convert(args[1], args[2])
	}
	start := time.Now()
	compiler, err := tinygo.Get(ctx, tinygo.Options{Progress: func(step string) {
		fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(start).Seconds(), step)
	}})
	if err != nil {
		// Without the chain of a tool's exit code: that would be taken for the compiler's.
		return errors.New(err.Error())
	}
	if len(args) == 0 {
		fmt.Println(compiler.Path)
		return nil
	}
	if clock, ok := strings.CutPrefix(args[0], "-clock="); ok {
		args = args[1:]
		if compiler, err = withClock(ctx, compiler, clock); err != nil {
			return err
		}
	}
	cmd := compiler.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// withClock takes the clock of the boards in MHz, as TinyGo has no flag for it.
func withClock(ctx context.Context, c tinygo.Compiler, clock string) (tinygo.Compiler, error) {
	megahertz, err := strconv.Atoi(clock)
	if err != nil {
		return c, fmt.Errorf("-clock=%s: give a number of MHz", clock)
	}
	if c, err = c.WithClock(ctx, megahertz); err != nil {
		return c, errors.New(err.Error())
	}
	return c, nil
}
