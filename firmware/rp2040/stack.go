// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"device/arm"
	"runtime/interrupt"
	"unsafe"
)

// StackUse is how far the stacks have been used since PaintStacks, in bytes. The
// main goroutine has a stack of its own, except under -scheduler=none; interrupts,
// the start of the program and the scheduler share the system's.
type StackUse struct {
	MainUsed, MainFree     uint32 // MainUsed counts from the caller of PaintStacks
	SystemUsed, SystemFree uint32
}

// stackTop is the end of the system's stack, as all symbols here by TinyGo's linker
// script.
//
//go:extern _stack_top
var stackTop [0]byte

// stackSize has the size of the system's stack as its address.
//
//go:extern _stack_size
var stackSize [0]byte

// heapStart is where the heap begins, in which goroutines have their stacks.
//
//go:extern _heap_start
var heapStart [0]byte

// The parts of the stacks that PaintStacks painted.
var mainStack, systemStack []uint32

// belowCaller is room for what PaintStacks itself has on the stack.
const belowCaller = 256

// PaintStacks begins to count. Call it once, from main.
func PaintStacks() {
	state := interrupt.Disable() // a handler pushes onto the stack that is painted
	top := address(&stackTop)
	here := arm.AsmFull("mov {}, sp", nil) - belowCaller
	systemEnd := here
	if here > top { // on a goroutine's stack: the system's is idle
		systemEnd = arm.AsmFull("mrs {}, MSP", nil)
		mainStack = aboveCanary(words(address(&heapStart), here))
	}
	systemStack = words(top-address(&stackSize), systemEnd)
	fill(mainStack)
	fill(systemStack)
	interrupt.Restore(state)
}

// Stacks returns the high-water marks. It reads the unused part of the stacks.
func Stacks() StackUse {
	mainFree, systemFree := 4*painted(mainStack), 4*painted(systemStack)
	return StackUse{
		MainUsed: uint32(4*len(mainStack) - mainFree), MainFree: uint32(mainFree),
		SystemUsed: uint32(address(&stackSize)) - uint32(systemFree), SystemFree: uint32(systemFree),
	}
}

func address(symbol *[0]byte) uintptr { return uintptr(unsafe.Pointer(symbol)) }

// words is the RAM from one address to another.
func words(from, to uintptr) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(from)), (to-from)/4)
}

func fill(stack []uint32) {
	for i := range stack {
		stack[i] = paint
	}
}
