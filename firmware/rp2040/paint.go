// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

// paint is what the unused part of a stack is filled with.
const paint = 0xb1a9c0de

// painted returns how many words at the low end of a stack, which is where it grows
// to, still are paint.
func painted(stack []uint32) int {
	for i, word := range stack {
		if word != paint {
			return i
		}
	}
	return len(stack)
}

// canary is what TinyGo puts into the lowest word of a goroutine's stack, to
// notice an overflow (internal/task, task_stack.go).
const canary = 0xb83bf575

// aboveCanary returns the part of the words from memory's end down to the nearest
// canary, without it; nil if there is none.
func aboveCanary(memory []uint32) []uint32 {
	for i := len(memory) - 1; i >= 0; i-- {
		if memory[i] == canary {
			return memory[i+1:]
		}
	}
	return nil
}
