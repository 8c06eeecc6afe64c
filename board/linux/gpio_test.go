// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/picolet/picolet/board"
)

// fakeKernel is a GPIO chip with the rules of gpiolib-cdev.c: it checks each
// structure as strictly as the kernel does.
type fakeKernel struct {
	path  string
	lines []fakeLine
	files map[int]int // line of each file descriptor, or chipLine
	next  int
	fail  error // of the next ioctl
}

type fakeLine struct {
	consumer string // empty: free
	output   bool
	high     bool
	levels   string // each level that the output had
}

const chipLine = -7

func newFakeKernel(lines int) *fakeKernel {
	return &fakeKernel{path: "/dev/gpiochip0", lines: make([]fakeLine, lines), files: map[int]int{}, next: 3}
}

var _ kernel = (*fakeKernel)(nil)

func (k *fakeKernel) newFD(line int) int {
	fd := k.next
	k.next++
	k.files[fd] = line
	return fd
}

func (k *fakeKernel) open(path string) (int, error) {
	if path != k.path {
		return -1, syscall.ENOENT
	}
	return k.newFD(chipLine), nil
}

func (k *fakeKernel) close(fd int) error {
	line, ok := k.files[fd]
	if !ok {
		return syscall.EBADF
	}
	if line != chipLine {
		k.lines[line].consumer = ""
	}
	delete(k.files, fd)
	return nil
}

func (k *fakeKernel) ioctl(fd int, request uint32, argument unsafe.Pointer) error {
	line, ok := k.files[fd]
	if !ok {
		return syscall.EBADF
	}
	if err := k.fail; err != nil {
		k.fail = nil
		return err
	}
	onChip := line == chipLine
	switch {
	case onChip && request == getChipInfo:
		(*chipInfo)(argument).lines = uint32(len(k.lines))
		return nil
	case onChip && request == getLine:
		return k.request((*lineRequest)(argument))
	case !onChip && request == setLineConfig:
		return k.lines[line].configure((*lineConfig)(argument))
	case !onChip && request == getLineValues:
		return k.lines[line].get((*lineValues)(argument))
	case !onChip && request == setLineValues:
		return k.lines[line].set((*lineValues)(argument))
	}
	return syscall.ENOTTY
}

func (k *fakeKernel) request(r *lineRequest) error {
	if r.numLines != 1 || int(r.offsets[0]) >= len(k.lines) {
		return syscall.EINVAL
	}
	line := &k.lines[r.offsets[0]]
	if line.consumer != "" {
		return syscall.EBUSY
	}
	if err := line.configure(&r.config); err != nil {
		return err
	}
	line.consumer = strings.TrimRight(string(r.consumer[:]), "\x00")
	r.fd = int32(k.newFD(int(r.offsets[0])))
	return nil
}

func (l *fakeLine) configure(c *lineConfig) error {
	switch {
	case c.flags == flagInput && c.numAttrs == 0:
		l.output = false
		return nil
	case c.flags == flagOutput && c.numAttrs == 1 && c.attrs[0].id == attrOutputValues && c.attrs[0].mask == 1:
		l.output = true
		return l.set(&lineValues{bits: c.attrs[0].value, mask: 1})
	}
	return syscall.EINVAL
}

func (l *fakeLine) get(v *lineValues) error {
	if v.mask != 1 {
		return syscall.EINVAL
	}
	if v.bits = 0; l.high {
		v.bits = 1
	}
	return nil
}

func (l *fakeLine) set(v *lineValues) error {
	switch {
	case v.mask != 1:
		return syscall.EINVAL
	case !l.output:
		return syscall.EPERM
	}
	l.high = v.bits&1 != 0
	l.levels += map[bool]string{false: "L", true: "H"}[l.high]
	return nil
}

// TestFakeKernel shows that the fake refuses what the kernel refuses.
func TestFakeKernel(t *testing.T) {
	t.Parallel()
	k := newFakeKernel(2)
	chip, err := k.open("/dev/gpiochip0")
	if err != nil {
		t.Fatal(err)
	}
	output := lineConfig{flags: flagOutput, numAttrs: 1, attrs: [10]lineConfigAttribute{{id: attrOutputValues, mask: 1}}}
	first := lineRequest{numLines: 1, config: output, consumer: [32]byte{'t'}}
	if err := k.ioctl(chip, getLine, unsafe.Pointer(&first)); err != nil {
		t.Fatal(err)
	}
	line := int(first.fd)
	again, beyond, both := first, first, first
	beyond.offsets[0] = 2
	both.config.flags |= flagInput
	for name, tc := range map[string]struct {
		fd       int
		request  uint32
		argument unsafe.Pointer
		want     error
	}{
		"line in use":            {chip, getLine, unsafe.Pointer(&again), syscall.EBUSY},
		"line beyond the last":   {chip, getLine, unsafe.Pointer(&beyond), syscall.EINVAL},
		"no line":                {chip, getLine, unsafe.Pointer(&lineRequest{}), syscall.EINVAL},
		"line request on a line": {line, getLine, unsafe.Pointer(&again), syscall.ENOTTY},
		"values on the chip":     {chip, getLineValues, unsafe.Pointer(&lineValues{mask: 1}), syscall.ENOTTY},
		"no values":              {line, setLineValues, unsafe.Pointer(&lineValues{}), syscall.EINVAL},
		"input and output":       {line, setLineConfig, unsafe.Pointer(&both.config), syscall.EINVAL},
		"closed file":            {99, getChipInfo, unsafe.Pointer(&chipInfo{}), syscall.EBADF},
		"unknown request":        {chip, 1, unsafe.Pointer(&chipInfo{}), syscall.ENOTTY},
		"values":                 {line, setLineValues, unsafe.Pointer(&lineValues{bits: 1, mask: 1}), nil},
		"input":                  {chip, getChipInfo, unsafe.Pointer(&chipInfo{}), nil},
	} {
		if err := k.ioctl(tc.fd, tc.request, tc.argument); err != tc.want {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	input := lineConfig{flags: flagInput}
	if err := k.ioctl(line, setLineConfig, unsafe.Pointer(&input)); err != nil {
		t.Error(err)
	}
	if err := k.ioctl(line, setLineValues, unsafe.Pointer(&lineValues{mask: 1})); err != syscall.EPERM {
		t.Errorf("an input was set: %v", err)
	}
	if err := errors.Join(k.close(line), k.close(chip)); err != nil {
		t.Error(err)
	}
	if err := k.close(chip); err != syscall.EBADF {
		t.Errorf("closed twice: %v", err)
	}
}

func newGPIO(t *testing.T, lines int) (*gpio, *fakeKernel) {
	t.Helper()
	k := newFakeKernel(lines)
	g, err := openGPIO("/dev/gpiochip0", k)
	if err != nil {
		t.Fatal(err)
	}
	return g, k
}

func TestGPIO(t *testing.T) {
	t.Parallel()
	g, k := newGPIO(t, 54)
	if g.Count() != 54 {
		t.Errorf("Count() = %d, want 54", g.Count())
	}
	low, high, floating := board.PinState{Mode: board.PinLow}, board.PinState{Mode: board.PinHigh}, board.PinState{}
	for _, s := range []board.PinState{floating, high, high, low, high, floating, low, floating} {
		err := g.SetPin(17, s)
		got, readErr := g.Pin(17)
		if err != nil || readErr != nil || got != s {
			t.Errorf("set to %s, read back as %s; %v, %v", s.AppendText(nil), got.AppendText(nil), err, readErr)
		}
	}
	if got := k.lines[17]; got.levels != "HHLHL" || got.output || got.consumer != "" {
		t.Errorf("line 17 was left as %+v, want levels HHLHL, input, free", got)
	}
	if len(k.files) != 1 {
		t.Errorf("%d files are open, want the chip alone", len(k.files))
	}
}

func TestGPIOClose(t *testing.T) {
	t.Parallel()
	g, k := newGPIO(t, 4)
	for pin := range 4 {
		if err := g.SetPin(pin, board.PinState{Mode: board.PinHigh}); err != nil || k.lines[pin].consumer != "picolet" {
			t.Errorf("pin %d: %v, consumer %q", pin, err, k.lines[pin].consumer)
		}
	}
	if err := errors.Join(g.close(), g.close()); err != nil || len(k.files) != 0 {
		t.Errorf("after close: %v, %d files are open", err, len(k.files))
	}
	if err := g.SetPin(1, board.PinState{Mode: board.PinHigh}); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a pin was set after close: %v", err)
	}
}

func TestGPIORefusals(t *testing.T) {
	t.Parallel()
	g, k := newGPIO(t, 8)
	k.lines[3].consumer = "spi0 CS0"
	for _, tc := range []struct {
		pin  int
		mode board.PinMode
		want error
	}{
		{-1, board.PinHigh, board.ErrNoPin},
		{8, board.PinFloating, board.ErrNoPin},
		{8, board.PinPWM, board.ErrNoPin},
		{0, board.PinPWM, board.ErrNoPWM},
		{0, board.PinPWM + 1, board.ErrNoPWM},
		{3, board.PinHigh, syscall.EBUSY},
		{3, board.PinFloating, nil}, // not ours: left alone
	} {
		if err := g.SetPin(tc.pin, board.PinState{Mode: tc.mode}); !errors.Is(err, tc.want) {
			t.Errorf("SetPin(%d, mode %d) = %v, want %v", tc.pin, tc.mode, err, tc.want)
		}
	}
	for _, pin := range []int{-1, 8} {
		if _, err := g.Pin(pin); err != board.ErrNoPin {
			t.Errorf("Pin(%d) returned %v", pin, err)
		}
	}
	if k.lines[3].consumer != "spi0 CS0" || len(k.files) != 1 {
		t.Errorf("line 3 belongs to %q, %d files are open", k.lines[3].consumer, len(k.files))
	}
}

// TestGPIOFailures lets the kernel fail at each kind of request: the line
// keeps its state and works again afterwards.
func TestGPIOFailures(t *testing.T) {
	t.Parallel()
	g, k := newGPIO(t, 1)
	high, low := board.PinState{Mode: board.PinHigh}, board.PinState{Mode: board.PinLow}
	read := func(board.PinState) error { _, err := g.Pin(0); return err }
	set := func(s board.PinState) error { return g.SetPin(0, s) }
	for _, tc := range []struct {
		name  string
		do    func(board.PinState) error
		state board.PinState
	}{{"request", set, high}, {"set", set, low}, {"get", read, high}, {"release", set, board.PinState{}}} {
		k.fail = syscall.EIO
		if err := tc.do(tc.state); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got %v, want EIO", tc.name, err)
		}
		if err := set(high); err != nil || k.lines[0].consumer != "picolet" {
			t.Errorf("after a failed %s: %v", tc.name, err)
		}
	}
}

func TestOpenGPIOFailures(t *testing.T) {
	t.Parallel()
	k := newFakeKernel(maxLines + 1)
	if _, err := openGPIO(k.path, k); err == nil || len(k.files) != 0 {
		t.Errorf("a chip of %d lines: %v, %d files are open", maxLines+1, err, len(k.files))
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openGPIO(file, hostKernel{})
	if !errors.Is(err, syscall.ENOTTY) || !strings.Contains(err.Error(), "no GPIO character device") {
		t.Errorf("a file as a chip: %v", err)
	}
	if _, err = openGPIO(file+"x", hostKernel{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file as a chip: %v", err)
	}
}

// TestGPIOConcurrentUse is for the race detector.
func TestGPIOConcurrentUse(t *testing.T) {
	t.Parallel()
	g, _ := newGPIO(t, 2)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 100 {
				err := g.SetPin(i%2, board.PinState{Mode: board.PinMode(i % 3)})
				if _, readErr := g.Pin(i % 2); err != nil || readErr != nil {
					t.Errorf("%v, %v", err, readErr)
				}
			}
		})
	}
	group.Wait()
}

// TestUAPI compares with what a C program prints that includes linux/gpio.h.
func TestUAPI(t *testing.T) {
	t.Parallel()
	var r lineRequest
	for name, tc := range map[string]struct{ got, want uintptr }{
		"struct gpiochip_info":                 {unsafe.Sizeof(chipInfo{}), 68},
		"struct gpio_v2_line_values":           {unsafe.Sizeof(lineValues{}), 16},
		"struct gpio_v2_line_config_attribute": {unsafe.Sizeof(lineConfigAttribute{}), 24},
		"struct gpio_v2_line_config":           {unsafe.Sizeof(lineConfig{}), 272},
		"struct gpio_v2_line_request":          {unsafe.Sizeof(r), 592},
		"gpiochip_info.lines":                  {unsafe.Offsetof(chipInfo{}.lines), 64},
		"gpio_v2_line_config.attrs":            {unsafe.Offsetof(lineConfig{}.attrs), 32},
		"gpio_v2_line_request.consumer":        {unsafe.Offsetof(r.consumer), 256},
		"gpio_v2_line_request.config":          {unsafe.Offsetof(r.config), 288},
		"gpio_v2_line_request.num_lines":       {unsafe.Offsetof(r.numLines), 560},
		"gpio_v2_line_request.fd":              {unsafe.Offsetof(r.fd), 588},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %d, in C %d", name, tc.got, tc.want)
		}
	}
	for _, tc := range []struct {
		arch      string
		writes    bool
		number    byte
		size      uintptr
		wantInHex uint32
	}{
		{"amd64", false, 0x01, 68, 0x8044b401},
		{"arm", false, 0x01, 68, 0x8044b401},
		{"mipsle", false, 0x01, 68, 0x4044b401},
		{"ppc64le", false, 0x01, 68, 0x4044b401},
		{"amd64", true, 0x07, 592, 0xc250b407},
		{"mips", true, 0x07, 592, 0xc250b407},
		{"arm64", true, 0x0d, 272, 0xc110b40d},
		{"arm64", true, 0x0e, 16, 0xc010b40e},
		{"arm64", true, 0x0f, 16, 0xc010b40f},
	} {
		if got := requestNumber(tc.arch, tc.writes, tc.number, tc.size); got != tc.wantInHex {
			t.Errorf("request %#x on %s is %#x, in C %#x", tc.number, tc.arch, got, tc.wantInHex)
		}
	}
}
