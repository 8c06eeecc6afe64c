// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	"github.com/picolet/picolet/board"
)

// maxLines bounds what a chip may claim to have.
const maxLines = 1024

// noLine stands for a line that was not requested.
const noLine = -1

// gpio is a GPIO character device as pins: pin N is line N of the chip. A line
// is requested from the kernel when it is first driven.
type gpio struct {
	kernel kernel
	mu     sync.Mutex
	chip   int   // file descriptor
	lines  []int // file descriptor of each line that was requested, or noLine
}

var _ board.Pins = (*gpio)(nil)

func openGPIO(path string, k kernel) (*gpio, error) {
	chip, err := k.open(path)
	if err != nil {
		return nil, err
	}
	var info chipInfo
	if err = k.ioctl(chip, getChipInfo, unsafe.Pointer(&info)); err == nil && info.lines > maxLines {
		err = fmt.Errorf("it claims %d lines, at most %d can be used", info.lines, maxLines)
	}
	if errors.Is(err, syscall.ENOTTY) {
		err = fmt.Errorf("it is no GPIO character device, see /dev/gpiochip*: %w", err)
	}
	if err != nil {
		return nil, errors.Join(err, k.close(chip))
	}
	g := &gpio{kernel: k, chip: chip, lines: make([]int, info.lines)}
	for i := range g.lines {
		g.lines[i] = noLine
	}
	return g, nil
}

// Count returns the number of lines of the chip.
func (g *gpio) Count() int { return len(g.lines) }

func (g *gpio) hasPin(pin int) bool { return pin >= 0 && pin < len(g.lines) }

// SetPin drives a line, or gives it back as an input for board.PinFloating.
// It cannot do PWM.
func (g *gpio) SetPin(pin int, s board.PinState) error {
	if !g.hasPin(pin) {
		return board.ErrNoPin
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s.Mode {
	case board.PinLow, board.PinHigh:
		return g.drive(pin, s.Mode == board.PinHigh)
	case board.PinFloating:
		return g.release(pin)
	}
	return board.ErrNoPWM
}

// Pin reads a line back. A line that was not set is floating, whatever another
// program does with it.
func (g *gpio) Pin(pin int) (board.PinState, error) {
	if !g.hasPin(pin) {
		return board.PinState{}, board.ErrNoPin
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lines[pin] == noLine {
		return board.PinState{}, nil
	}
	values := lineValues{mask: 1}
	if err := g.kernel.ioctl(g.lines[pin], getLineValues, unsafe.Pointer(&values)); err != nil {
		return board.PinState{}, fmt.Errorf("cannot read GPIO line %d: %w", pin, err)
	}
	if values.bits&1 != 0 {
		return board.PinState{Mode: board.PinHigh}, nil
	}
	return board.PinState{Mode: board.PinLow}, nil
}

// drive sets the level of a line. At the first time, direction and level are
// set at once, so that the line shows no other level before.
func (g *gpio) drive(pin int, high bool) error {
	var bits uint64
	if high {
		bits = 1
	}
	if g.lines[pin] == noLine {
		return g.request(pin, bits)
	}
	values := lineValues{bits: bits, mask: 1}
	if err := g.kernel.ioctl(g.lines[pin], setLineValues, unsafe.Pointer(&values)); err != nil {
		return fmt.Errorf("cannot set GPIO line %d: %w", pin, err)
	}
	return nil
}

// request asks the kernel for a line as an output.
func (g *gpio) request(pin int, bits uint64) error {
	request := lineRequest{numLines: 1, config: lineConfig{flags: flagOutput, numAttrs: 1}}
	request.offsets[0] = uint32(pin)
	request.config.attrs[0] = lineConfigAttribute{id: attrOutputValues, value: bits, mask: 1}
	copy(request.consumer[:], "picolet")
	err := g.kernel.ioctl(g.chip, getLine, unsafe.Pointer(&request))
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("GPIO line %d is in use, gpioinfo(1) tells by whom: %w", pin, err)
	}
	if err != nil {
		return fmt.Errorf("cannot request GPIO line %d: %w", pin, err)
	}
	g.lines[pin] = int(request.fd)
	return nil
}

// release makes a line an input, so that nothing drives it, and gives it back.
func (g *gpio) release(pin int) error {
	line := g.lines[pin]
	if line == noLine {
		return nil
	}
	config := lineConfig{flags: flagInput}
	err := g.kernel.ioctl(line, setLineConfig, unsafe.Pointer(&config))
	if err != nil {
		return fmt.Errorf("cannot make GPIO line %d an input: %w", pin, err)
	}
	g.lines[pin] = noLine
	return g.kernel.close(line)
}

// close gives all lines back as they are. No pin can be set afterwards.
func (g *gpio) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs error
	for pin, line := range g.lines {
		if line != noLine {
			errs = errors.Join(errs, g.kernel.close(line))
			g.lines[pin] = noLine
		}
	}
	if g.chip >= 0 {
		errs = errors.Join(errs, g.kernel.close(g.chip))
		g.chip = -1
	}
	return errs
}
