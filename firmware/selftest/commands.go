// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package main

import (
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/rp2040"
	"github.com/picolet/picolet/kubelet/logring"
)

// obey does what a line says. Every command prints lines of a name and a value.
func obey(line []byte) error {
	words := strings.Fields(string(line))
	for _, c := range commands {
		if len(words) > 0 && words[0] == c.name && len(words)-1 == strings.Count(c.arguments, " ") {
			return c.do(words[1:])
		}
	}
	if len(words) == 1 && words[0] == "help" {
		for _, c := range commands {
			println(c.name + c.arguments)
		}
		return nil
	}
	return errUsage
}

// commands and their arguments, each after a space.
var commands = [...]struct {
	name, arguments string
	do              func(arguments []string) error
}{
	{"facts", "", printFacts},
	{"sensors", "", printSensors},
	{"stacks", "", printStacks},
	{"entropy", "", printEntropy},
	{"pin", " NUMBER", printPin},
	{"set", " NUMBER LOW|HIGH|PWM:0-255|FLOATING", setPin},
	{"adc", " NUMBER", printVoltage},
	{"read", " OFFSET", readFlash},
	{"erase", " OFFSET", eraseFlash},
	{"program", " OFFSET BYTE COUNT", programFlash},
	{"save", " NUMBER", saveRecord},
	{"load", "", loadRecord},
	{"log", " COUNT", fillLog},
	{"allocations", "", printAllocations},
	{"hang", "", hang},
	{"panic", "", panics},
	{"restart", " CAUSE", restart},
}

func printFacts([]string) error {
	println("id", facts.ID)
	println("systemUUID", facts.SystemUUID)
	println("bootID", facts.BootID)
	println("kernelVersion", facts.KernelVersion)
	println("clockKHz", facts.ClockKHz)
	println("memoryBytes", facts.MemoryBytes)
	println("flashBytes", facts.FlashBytes)
	return nil
}

func printSensors([]string) error {
	var r board.Readings
	sensors.Read(time.Since(boot), &r)
	println("heapUsed", r.HeapUsed)
	println("heapTotal", r.HeapTotal)
	println("flashUsed", r.FlashUsed)
	println("flashTotal", r.FlashTotal)
	println("hasTemperature", r.HasTemperature)
	println("temperatureMilli", r.TemperatureMilli)
	println("cpuMicros", r.CPUTime.Microseconds())
	println("hasRSSI", r.HasRSSI)
	return nil
}

func printStacks([]string) error {
	s := rp2040.Stacks()
	println("mainUsed", s.MainUsed)
	println("mainFree", s.MainFree)
	println("systemUsed", s.SystemUsed)
	println("systemFree", s.SystemFree)
	println("heapPeak", sensors.HeapPeak())
	return nil
}

func printEntropy([]string) error {
	var random [32]byte
	err := rp2040.Entropy(&random, 0)
	println("random", hexOf(random[:]))
	return err
}

// hexOf writes bytes as hexadecimal digits.
func hexOf(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		b.WriteString(strconv.FormatUint(uint64(c)|0x100, 16)[1:])
	}
	return b.String()
}

func printPin(a []string) error {
	pin, err := strconv.Atoi(a[0])
	if err != nil {
		return errUsage
	}
	state, err := pins.Pin(pin)
	if err == nil {
		println("pin", string(state.AppendText(nil)))
	}
	return err
}

func setPin(a []string) error {
	pin, err := strconv.Atoi(a[0])
	state, ok := parseState(a[1])
	if err != nil || !ok {
		return errUsage
	}
	return pins.SetPin(pin, state)
}

func parseState(text string) (s board.PinState, ok bool) {
	if duty, isPWM := strings.CutPrefix(text, "PWM:"); isPWM {
		n, err := strconv.ParseUint(duty, 10, 8)
		return board.PinState{Mode: board.PinPWM, Duty: uint8(n)}, err == nil
	}
	for s.Mode = range board.PinPWM {
		if text == string(s.AppendText(nil)) {
			return s, true
		}
	}
	return s, false
}

func printVoltage(a []string) error {
	pin, err := strconv.Atoi(a[0])
	if err != nil {
		return errUsage
	}
	mV, err := pins.Millivolts(pin)
	if err == nil {
		println("millivolts", mV)
	}
	return err
}

func readFlash(a []string) error {
	off, err := offset(a[0])
	if err != nil {
		return err
	}
	var p [32]byte
	if err = device.ReadAt(p[:], off); err == nil {
		println("bytes", hexOf(p[:]))
	}
	return err
}

func eraseFlash(a []string) error {
	off, err := offset(a[0])
	if err != nil {
		return err
	}
	return device.Erase(off)
}

func programFlash(a []string) error {
	off, err := offset(a[0])
	b, errByte := strconv.ParseUint(a[1], 0, 8)
	count, errCount := strconv.ParseUint(a[2], 0, 13)
	if err != nil || errByte != nil || errCount != nil {
		return errUsage
	}
	p := make([]byte, count)
	for i := range p {
		p[i] = byte(b)
	}
	return device.Program(off, p)
}

// offset reads an offset in flash, of any base.
func offset(text string) (uint32, error) {
	off, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return 0, errUsage
	}
	return uint32(off), nil
}

// saveRecord keeps a record of 600 bytes, three pages of flash with its header.
func saveRecord(a []string) error {
	n, err := strconv.ParseUint(a[0], 10, 8)
	if err != nil {
		return errUsage
	}
	p := make([]byte, 600)
	for i := range p {
		p[i] = byte(n)
	}
	return record.Save(p)
}

func loadRecord([]string) error {
	p := make([]byte, board.MaxStored)
	n, err := record.Load(p)
	if err == nil && n > 0 {
		println("record", n, p[0], p[n-1])
	} else if err == nil {
		println("record", 0)
	}
	return err
}

// fillLog writes to the log, which the main loop shows when it can.
func fillLog(a []string) error {
	count, err := strconv.ParseUint(a[0], 10, 16)
	if err != nil {
		return errUsage
	}
	for i := range int64(count) {
		ring.Begin(time.Since(boot), 0, logring.Info, "Entry").Int("number", i).End()
	}
	return nil
}

// printAllocations counts what the hot paths allocate, which is nothing.
func printAllocations([]string) error {
	var before, after runtime.MemStats
	var r board.Readings
	var page [256]byte
	for range 2 { // once to warm up
		runtime.ReadMemStats(&before)
		sensors.Read(time.Since(boot), &r)
		_ = pins.SetPin(6, board.PinState{Mode: board.PinPWM, Duty: 7})
		_ = pins.SetPin(6, board.PinState{})
		_, _ = pins.Pin(6)
		_, _ = pins.Millivolts(26)
		_ = device.Erase(scratch)
		_ = device.Program(scratch, page[:])
		_ = device.ReadAt(page[:], scratch)
		console.Poll()
		rp2040.Enter(phaseIdle)
		rp2040.FeedWatchdog()
		rp2040.Stacks()
		runtime.ReadMemStats(&after)
	}
	println("allocations", after.Mallocs-before.Mallocs)
	return nil
}

// scratch is a sector of flash that holds nothing.
const scratch = 0x1e0000

// hang waits for what never comes.
func hang([]string) error {
	rp2040.Enter(phaseHang)
	for {
		time.Sleep(time.Hour)
	}
}

// panics ends the program as TinyGo ends one that cannot go on: it says why, and
// stops.
func panics(a []string) error {
	println(a[len(a)+cap(line)])
	return nil
}

func restart(a []string) error {
	cause, err := strconv.ParseUint(a[0], 10, 8)
	if err != nil {
		return errUsage
	}
	rp2040.Restart(uint8(cause))
	return nil
}
