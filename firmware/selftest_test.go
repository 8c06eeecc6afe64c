// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
)

// shell is an emulated board that runs the image of package selftest.
type shell struct {
	*testing.T
	board *emulator.Board
	read  int // how much of the console has been looked at
}

// limit is the emulated time that a command may take.
const limit = 20 * time.Second

func startShell(t *testing.T, image []byte) *shell {
	t.Helper()
	s := &shell{T: t, board: emulatortest.Boot(t, emulator.Config{Images: [][]byte{image}})}
	s.until("ready\r\n")
	return s
}

// until returns what the board says before the text.
func (s *shell) until(text string) string {
	s.Helper()
	if err := s.board.Console().Wait(s.Context(), text, limit); err != nil {
		s.Fatal(err)
	}
	said, _, _ := strings.Cut(s.board.Console().Text()[s.read:], text)
	s.read += len(said) + len(text)
	return said
}

func (s *shell) send(command string) {
	s.Helper()
	if err := s.board.Console().Send(s.Context(), command+"\n"); err != nil {
		s.Fatal(err)
	}
}

// ask returns what a command prints, by the first word of each line.
func (s *shell) ask(command string) map[string]string {
	s.Helper()
	s.send(command)
	values := map[string]string{}
	for line := range strings.Lines(s.until("done\r\n")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		values[name] = value
	}
	return values
}

// do gives a command that must say nothing but, perhaps, an error.
func (s *shell) do(command, wantError string) {
	s.Helper()
	if got := s.ask(command)["error"]; !strings.Contains(got, wantError) || wantError == "" && got != "" {
		s.Errorf("%s: error %q, want %q", command, got, wantError)
	}
}

// number returns one of the numbers that a command prints.
func (s *shell) number(values map[string]string, name string) int {
	s.Helper()
	n, err := strconv.Atoi(values[name])
	if err != nil {
		s.Errorf("%s is %q, no number", name, values[name])
	}
	return n
}

// TestSelftestOnAnEmulatedBoard drives every part of package rp2040 from outside.
func TestSelftestOnAnEmulatedBoard(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "selftest.elf")
	run(t, compiler(t).Command(t.Context(), "build", "-target=pico-w", "-serial=uart", "-o="+path, "./selftest"))
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*shell){
		"facts": factsOfTheChip, "sensors": sensorsFollowTheADC, "pins": pinsDoWhatTheyAreTold, "entropy": entropyDiffers,
		"flash": flashKeepsToItsPart, "resets": resetsTellTheirReason, "power cut": recordOutlivesPowerCuts,
		"memory": memoryIsMeasured, "log": logComesOutWhole,
	} {
		t.Run(name, func(t *testing.T) { test(startShell(t, image)) })
	}
}

func factsOfTheChip(s *shell) {
	facts := s.ask("facts")
	for name, want := range map[string]string{
		"id": "e661010203040506", "systemUUID": "72703230-3430-80e6-8061-010203040506",
		"clockKHz": "200000", "memoryBytes": "270336", "flashBytes": "2097152",
	} {
		if facts[name] != want {
			s.Errorf("%s is %q, want %q", name, facts[name], want)
		}
	}
	if !regexp.MustCompile(`^tinygo-0\.41\.\d+$`).MatchString(facts["kernelVersion"]) {
		s.Errorf("kernel version %q", facts["kernelVersion"])
	}
	if err := s.board.PressReset(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.until("ready\r\n")
	if again := s.ask("facts"); again["bootID"] == facts["bootID"] || len(again["bootID"]) != 36 || again["id"] != facts["id"] {
		s.Errorf("after a reset the board is %v, before it was %v", again, facts)
	}
}

func sensorsFollowTheADC(s *shell) {
	for channel, reading := range map[int]int{0: 1000, 1: 2000, 2: 4095, 4: 850} {
		if err := s.board.SetADC(s.Context(), channel, reading); err != nil {
			s.Fatal(err)
		}
	}
	first := s.ask("sensors")
	if got := s.number(first, "temperatureMilli"); got < 39_200 || got > 39_400 { // 27 - (850*3.3/4096 - 0.706)/0.001721
		s.Errorf("%d thousandths of a degree, want 39.3 degrees", got)
	}
	for pin, want := range map[int]string{26: "805", 27: "1611", 28: "3299"} {
		if got := s.ask(fmt.Sprint("adc ", pin))["millivolts"]; got != want {
			s.Errorf("GPIO %d has %q mV, want %s", pin, got, want)
		}
	}
	s.do("adc 25", "no such pin")
	if err := s.board.SetADC(s.Context(), 4, 876); err != nil {
		s.Fatal(err)
	}
	second := s.ask("sensors")
	if got := s.number(second, "temperatureMilli"); got < 27_000 || got > 27_300 {
		s.Errorf("%d thousandths of a degree after reading voltages, want 27.1 degrees", got)
	}
	if before, after := s.number(first, "cpuMicros"), s.number(second, "cpuMicros"); after <= before || after > 1_000_000 {
		s.Errorf("%d µs of work, then %d", before, after)
	}
	if used, total := s.number(second, "heapUsed"), s.number(second, "heapTotal"); used < 8192 || used > total || total < 200<<10 || total > 264<<10 {
		s.Errorf("%d of %d bytes of heap are used: the main goroutine alone has 8 KiB", used, total)
	}
	must(s.T, s.board.Fault().Freeze(s.Context(), emulator.ADC))
	s.do("adc 26", "converter does not answer")
	if has := s.ask("sensors")["hasTemperature"]; has != "false" {
		s.Errorf("without an ADC hasTemperature is %q", has)
	}
	if used := s.number(second, "flashUsed"); used < 20<<10 || used > 200<<10 || second["flashTotal"] != "2097152" {
		s.Errorf("%d of %s bytes of flash are used", used, second["flashTotal"])
	}
	if second["hasRSSI"] != "false" {
		s.Error("a chip without Wi-Fi knows its signal")
	}
}

// waitPin waits for what is measured at a pin.
func (s *shell) waitPin(pin int, level emulator.Level, duty float64) {
	s.Helper()
	what := fmt.Sprintf("pin %d being %v", pin, emulator.Pin{Level: level, Duty: duty})
	err := s.board.Wait(s.Context(), limit, what, func(state emulator.State) bool {
		p := state.Pins[pin]
		return p.Level == level && math.Abs(p.Duty-duty) < 0.01
	})
	if err != nil {
		s.Error(err)
	}
}

func pinsDoWhatTheyAreTold(s *shell) {
	for _, pin := range []int{2, 5, 15, 22, 26, 28} {
		for _, c := range []struct {
			state string
			level emulator.Level
			duty  float64
		}{
			{"HIGH", emulator.High, 0}, {"LOW", emulator.Low, 0}, {"PWM:64", emulator.PWM, 64. / 255},
			{"PWM:200", emulator.PWM, 200. / 255}, {"HIGH", emulator.High, 0}, {"FLOATING", emulator.Floating, 0},
		} {
			s.do(fmt.Sprintf("set %d %s", pin, c.state), "")
			s.waitPin(pin, c.level, c.duty)
			if got := s.ask(fmt.Sprint("pin ", pin))["pin"]; got != c.state {
				s.Errorf("GPIO %d reads %q, want %q", pin, got, c.state)
			}
		}
	}
	for _, pin := range []string{"23", "24", "25", "29", "30", "-1"} {
		s.do("set "+pin+" LOW", "no such pin")
		s.do("pin "+pin, "no such pin")
	}
	// The two pins of a slice have a duty cycle each; those that share a channel cannot.
	s.do("set 2 PWM:30", "")
	s.do("set 3 PWM:220", "")
	s.waitPin(2, emulator.PWM, 30./255)
	s.waitPin(3, emulator.PWM, 220./255)
	s.do("set 18 PWM:1", "same channel")
	s.waitPin(18, emulator.Floating, 0)
	s.do("set 2 LOW", "")
	s.do("set 18 PWM:90", "")
	s.waitPin(18, emulator.PWM, 90./255)
	s.waitPin(2, emulator.Low, 0)
	s.waitPin(3, emulator.PWM, 220./255)
	// A pin that nobody set is left to the console.
	if got := s.ask("pin 0")["pin"]; got != "FLOATING" {
		s.Errorf("GPIO 0 reads %q, want FLOATING", got)
	}
	s.do("set 0 FLOATING", "")
	s.ask("pin 0")
}

func entropyDiffers(s *shell) {
	seen := map[string]bool{}
	for range 8 {
		random := s.ask("entropy")
		if random["error"] != "" || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(random["random"]) || seen[random["random"]] {
			s.Errorf("%v, after %v", random, seen)
		}
		seen[random["random"]] = true
	}
}

func flashKeepsToItsPart(s *shell) {
	const empty, filled = "ffffffffffffffffffffffffffffffff", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
	expect := func(offset, want string) {
		s.Helper()
		if got := s.ask("read " + offset)["bytes"]; got != want+want {
			s.Errorf("at %s there is %q, want %s…", offset, got, want)
		}
	}
	s.do("program 0x1e0100 0x5a 512", "")
	expect("0x1e00e0", empty)
	expect("0x1e0100", filled)
	expect("0x1e02e0", filled)
	expect("0x1e0300", empty)
	s.do("program 0x1e0100 0xa5 256", "")
	expect("0x1e0100", strings.Repeat("00", 16)) // ones become zeros only
	s.do("erase 0x1e0000", "")
	expect("0x1e0100", empty)
	image := s.number(s.ask("sensors"), "flashUsed")
	last := (image - 1) / 4096 * 4096
	for command, want := range map[string]string{
		"erase 0":                  "firmware",
		fmt.Sprint("erase ", last): "firmware",
		fmt.Sprint("program ", last+3840, " 0 256"): "firmware",
		"erase 0x1e0800":         "whole sectors",
		"program 0x1e0001 0 256": "pages",
		"program 0x1e0000 0 255": "pages",
		"erase 0x200000":         "beyond",
		"program 0x1fff00 0 512": "beyond",
		"read 0x1fffe1":          "beyond",
	} {
		s.do(command, want)
	}
	stats, err := s.board.Stats(s.Context())
	if err != nil || stats.FlashOperations != 4 {
		s.Errorf("%d operations of the flash chip, want 4 (%v)", stats.FlashOperations, err)
	}
	s.do(fmt.Sprint("erase ", last+4096), "")
}

func resetsTellTheirReason(s *shell) {
	for _, c := range []struct{ command, reason, cause string }{
		{"hang", "watchdog: hang in hang", "watchdog"},
		{"panic", "watchdog: hang in idle", "watchdog"},
		{"erase 1048576", "watchdog: hang in idle", "watchdog"}, // of a flash that does not end it
		{"restart 0", "software", "watchdog"},
		{"restart 1", "software: tired", "watchdog"},
		{"restart 200", "software", "watchdog"}, // of a newer image, perhaps
		{"", "run-pin", "run-pin"},
	} {
		if strings.HasPrefix(c.command, "erase") {
			must(s.T, s.board.Fault().Freeze(s.Context(), emulator.Flash))
		}
		if c.command == "" {
			if err := s.board.PressReset(s.Context()); err != nil {
				s.Fatal(err)
			}
		} else {
			s.send(c.command)
		}
		said := s.until("ready\r\n")
		if want := "reset " + c.reason + "\r\n"; !strings.HasSuffix(said, want) {
			s.Errorf("after %q the board says %q, want %q", c.command, said, want)
		}
		resets := s.board.State().Resets
		if got := resets[len(resets)-1].Cause; got != c.cause {
			s.Errorf("after %q the reset is %s, want %s", c.command, got, c.cause)
		}
	}
	resets := s.board.State().Resets
	if hung := resets[1].At - resets[0].At; hung < 8*time.Second {
		s.Errorf("the watchdog fired after %s, want 8 s and more", hung)
	}
}

// recordOutlivesPowerCuts: power is cut in every operation of a save; then the record
// is the old one or the new one.
func recordOutlivesPowerCuts(s *shell) {
	s.do("save 1", "")
	for operation := 1; ; operation++ {
		if err := s.board.PowerCut(s.Context(), emulator.Cut{Operation: operation, Seed: int32(operation)}); err != nil {
			s.Fatal(err)
		}
		before, next := s.ask("load")["record"], operation+1
		s.send(fmt.Sprint("save ", next))
		err := s.board.Console().Wait(s.Context(), "done\r\n", limit)
		if halt := (*emulator.HaltError)(nil); errors.As(err, &halt) && halt.Kind == "PowerCut" {
			if err := s.board.PowerOn(s.Context()); err != nil {
				s.Fatal(err)
			}
			s.read = len(s.board.Console().Text())
			s.until("ready\r\n")
			if after := s.ask("load")["record"]; after != before && after != fmt.Sprintf("600 %d %d", next, next) {
				s.Errorf("cut in operation %d: the record is %q, was %q", operation, after, before)
			}
			continue
		} else if err != nil {
			s.Fatal(err)
		}
		if operation < 4 {
			s.Errorf("a save of 600 bytes took less than %d operations", operation)
		}
		return
	}
}

func memoryIsMeasured(s *shell) {
	if got := s.ask("allocations")["allocations"]; got != "0" {
		s.Errorf("%s allocations in hot paths", got)
	}
	before := s.ask("stacks")
	if used := s.number(before, "systemUsed") + s.number(before, "systemFree"); used != 2048 {
		s.Errorf("the system's stack has %d bytes, want 2048", used)
	}
	if used, free := s.number(before, "mainUsed"), s.number(before, "mainFree"); used < 64 || used+free < 7000 || used+free > 8192 {
		s.Errorf("of the main stack %d bytes are used and %d free", used, free)
	}
	s.ask("entropy")
	s.ask("help")
	if after := s.ask("stacks"); s.number(after, "mainUsed") < s.number(before, "mainUsed") {
		s.Errorf("a high-water mark went down: %v, then %v", before, after)
	}
	if peak, used := s.number(s.ask("stacks"), "heapPeak"), s.number(s.ask("sensors"), "heapUsed"); peak == 0 || used < peak-4096 {
		s.Errorf("at most %d bytes of heap were used; %d are", peak, used)
	}
}

func logComesOutWhole(s *shell) {
	s.ask("log 15") // fits the ring, and is more than the UART takes at once
	s.until("number=14\r\n")
	s.ask("log 500")
	said := s.until("number=499\r\n")
	if lines := regexp.MustCompile(`(?m)^\.\.\. \d+ lines lost\r$`).FindAllString(said, -1); len(lines) == 0 {
		s.Errorf("nothing says that lines were lost: %q", said)
	}
}
