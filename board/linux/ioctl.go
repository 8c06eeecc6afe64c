// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// kernel is what the GPIO driver asks of the system, so that tests can stand
// in for it.
type kernel interface {
	open(path string) (fd int, err error)
	ioctl(fd int, request uint32, argument unsafe.Pointer) error
	close(fd int) error
}

// Structures of linux/gpio.h, version 2 of its interface (Linux 5.10). All
// fields lie at multiples of their size, so that Go lays them out as C does.
type (
	// chipInfo is struct gpiochip_info.
	chipInfo struct {
		name, label [32]byte
		lines       uint32
	}
	// lineValues is struct gpio_v2_line_values: bit N is the Nth line of the
	// request.
	lineValues struct{ bits, mask uint64 }
	// lineConfigAttribute is struct gpio_v2_line_config_attribute with the
	// struct gpio_v2_line_attribute in it.
	lineConfigAttribute struct {
		id, _ uint32
		value uint64
		mask  uint64
	}
	// lineConfig is struct gpio_v2_line_config.
	lineConfig struct {
		flags    uint64
		numAttrs uint32
		_        [5]uint32
		attrs    [10]lineConfigAttribute
	}
	// lineRequest is struct gpio_v2_line_request.
	lineRequest struct {
		offsets         [64]uint32
		consumer        [32]byte
		config          lineConfig
		numLines        uint32
		eventBufferSize uint32
		_               [5]uint32
		fd              int32
	}
)

// Flags and attributes of linux/gpio.h: GPIO_V2_LINE_FLAG_INPUT and _OUTPUT,
// GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES.
const (
	flagInput        = 1 << 2
	flagOutput       = 1 << 3
	attrOutputValues = 2
)

// Requests of linux/gpio.h: GPIO_GET_CHIPINFO_IOCTL, GPIO_V2_GET_LINE_IOCTL,
// GPIO_V2_LINE_{SET_CONFIG,GET_VALUES,SET_VALUES}_IOCTL.
var (
	getChipInfo   = requestNumber(runtime.GOARCH, false, 0x01, unsafe.Sizeof(chipInfo{}))
	getLine       = requestNumber(runtime.GOARCH, true, 0x07, unsafe.Sizeof(lineRequest{}))
	setLineConfig = requestNumber(runtime.GOARCH, true, 0x0d, unsafe.Sizeof(lineConfig{}))
	getLineValues = requestNumber(runtime.GOARCH, true, 0x0e, unsafe.Sizeof(lineValues{}))
	setLineValues = requestNumber(runtime.GOARCH, true, 0x0f, unsafe.Sizeof(lineValues{}))
)

// requestNumber builds the number of an ioctl that the kernel answers, as
// linux/ioctl.h does: direction, size of the structure, the type of GPIO
// requests and the number among them. MIPS and PowerPC have directions of
// their own (their asm/ioctl.h).
func requestNumber(arch string, writes bool, number byte, size uintptr) uint32 {
	const gpioType = 0xb4
	direction := uint32(2 << 30) // the kernel writes the structure
	switch {
	case writes:
		direction = 3 << 30 // and reads it; the same everywhere
	case strings.HasPrefix(arch, "mips") || strings.HasPrefix(arch, "ppc"):
		direction = 2 << 29
	}
	return direction | uint32(size)<<16 | gpioType<<8 | uint32(number)
}

// hostKernel is the kernel of this machine.
type hostKernel struct{}

func (hostKernel) open(path string) (int, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func (hostKernel) ioctl(fd int, request uint32, argument unsafe.Pointer) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

func (hostKernel) close(fd int) error { return syscall.Close(fd) }
