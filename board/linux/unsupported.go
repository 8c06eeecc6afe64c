// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package linux

import (
	"errors"
	"runtime"
	"time"

	"github.com/picolet/picolet/board"
)

// Board is a Linux machine as a board.
type Board struct{}

// New returns an error: this system is not Linux.
func New(Options) (*Board, error) {
	return nil, errors.New("this machine cannot be a board: it runs " + runtime.GOOS + ", not Linux; use virtual boards")
}

// Board returns an empty board.
func (*Board) Board() board.Board { return board.Board{} }

// Uptime is not known.
func (*Board) Uptime() time.Duration { return 0 }

// Close does nothing.
func (*Board) Close() error { return nil }
