// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package slog declares the part of the standard library's package log/slog
// that network stacks and drivers in Go name on a board, without a logger
// behind it.
//
// It fills a gap of TinyGo's linker: Go's own package keeps its default handler
// alive, and with it fmt, encoding/json and the tables of unicode, 130 KB of
// flash and 14 KB of RAM for a logger that no board has. Here no Logger can
// be made, so all are nil, and what is said to one takes no memory.
package slog

import (
	"context"
	"time"
)

// Level is the importance of a record.
type Level int

// The levels, numbered as in the standard library.
const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

// String returns the level's name; of a level between two, that of the lower.
func (l Level) String() string {
	switch {
	case l < LevelInfo:
		return "DEBUG"
	case l < LevelWarn:
		return "INFO"
	case l < LevelError:
		return "WARN"
	}
	return "ERROR"
}

// Kind is the kind of a Value.
type Kind int

// KindString is the one kind that callers name; no Value is of it.
const KindString Kind = 8

// Value is the value of an Attr, which nobody reads.
type Value struct{}

// Kind returns 0, as that of any value that is no string.
func (Value) Kind() Kind { return 0 }

// String returns "".
func (Value) String() string { return "" }

// Attr is a key and a value, which nobody reads.
type Attr struct {
	Key   string // always "": else each name of a key would take flash
	Value Value
}

// String returns an Attr for a string.
func String(string, string) Attr { return Attr{} }

// Int returns an Attr for an integer.
func Int(string, int) Attr { return Attr{} }

// Int64 returns an Attr for an integer.
func Int64(string, int64) Attr { return Attr{} }

// Uint64 returns an Attr for an integer.
func Uint64(string, uint64) Attr { return Attr{} }

// Bool returns an Attr for a truth value.
func Bool(string, bool) Attr { return Attr{} }

// Duration returns an Attr for a duration.
func Duration(string, time.Duration) Attr { return Attr{} }

// Handler decides what becomes of records.
type Handler interface {
	Enabled(context.Context, Level) bool
}

// Logger takes records. There is none but nil.
type Logger struct{ handler Handler }

// Handler returns nil.
func (l *Logger) Handler() Handler { return l.handler }

// LogAttrs does nothing.
func (*Logger) LogAttrs(context.Context, Level, string, ...Attr) {}
