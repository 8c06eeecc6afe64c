// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package linux is this machine as a board: what the kernel tells of it in
// /proc and /sys, and the pins of a GPIO character device if one is named.
//
// It reads files and asks the GPIO device, and nothing else: no command is
// run, no pin is touched that was not set, and what the kernel does not tell,
// or tells as nonsense, is left out.
package linux

// Options say what New looks at.
type Options struct {
	Root        string // Optional ["/"]: folder that holds etc, proc and sys
	StoragePath string // Optional [no storage]: file for the stored record; its file system is reported as flash
	GPIOChip    string // Optional [no pins]: GPIO character device, such as /dev/gpiochip0
}
