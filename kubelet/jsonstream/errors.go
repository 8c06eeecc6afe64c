// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jsonstream writes and reads JSON (RFC 8259) in constant memory: a
// [Writer] appends to a buffer that never grows, a [Scanner] turns pieces of
// input of any size into tokens.
//
// It refuses to build trees, to map JSON to Go types, to guess at invalid
// input, and to allocate. Duplicate keys are passed on as they come.
package jsonstream

import "errors"

// Errors of Writer and Scanner. They are sticky: once one is returned, only
// Reset gets rid of it.
var (
	// ErrFull: the Writer's buffer is too small for the value. Give it a
	// larger buffer, or write less.
	ErrFull = errors.New("jsonstream: buffer full")
	// ErrNesting: containers nest deeper than the limit or, in a Writer, calls
	// came in an order that is no JSON, such as a value without a key in an
	// object or an End without its Begin.
	ErrNesting = errors.New("jsonstream: containers unbalanced or nested too deep")
	// ErrIncomplete: the Writer does not hold a whole value yet. Not sticky.
	ErrIncomplete = errors.New("jsonstream: value not complete")
	// ErrSyntax: the Scanner's input is no JSON; Offset tells where.
	ErrSyntax = errors.New("jsonstream: invalid JSON")
	// ErrNumber: a number in the Scanner's input has over PartSize bytes.
	ErrNumber = errors.New("jsonstream: number too long")
	// ErrUnexpectedEnd: the Scanner's input ended inside a value.
	ErrUnexpectedEnd = errors.New("jsonstream: input ends inside a value")
)
