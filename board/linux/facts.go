// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/picolet/picolet/board"
)

var errNoID = errors.New("nothing identifies this machine: run systemd-machine-id-setup, or write 32 random hexadecimal digits to /etc/machine-id")

// readFacts reads what holds until the next boot from the files under root.
func readFacts(root string) (board.Facts, error) {
	tree := tree(root)
	f := board.Facts{
		Model:         "linux",
		ID:            machineID(tree),
		SystemUUID:    uuid(tree.line("sys/class/dmi/id/product_uuid")),
		BootID:        uuid(tree.line("proc/sys/kernel/random/boot_id")),
		KernelVersion: tree.line("proc/sys/kernel/osrelease"),
		OSImage:       osImage(tree.read("etc/os-release")),
		ResetReason:   resetReason(tree.line("sys/class/watchdog/watchdog0/bootstatus")),
		Cores:         cores(tree.line("sys/devices/system/cpu/online")),
		ClockKHz:      clock(tree),
	}
	f.MemoryBytes, _ = memory([]byte(tree.read("proc/meminfo")))
	if f.ID == "" {
		return f, errNoID
	}
	return f, nil
}

// uptime parses /proc/uptime (proc(5)): seconds since boot with two decimals,
// then the idle time. It is 0 if the text is something else.
func uptime(line string) time.Duration {
	first, _, _ := strings.Cut(line, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || !(seconds >= 0 && seconds < maxUptime) {
		return 0
	}
	return time.Duration(seconds*100+0.5) * 10 * time.Millisecond
}

// maxUptime is a hundred years in seconds: more is garbage.
const maxUptime = 100 * 365 * 24 * 3600

// tree is a folder that holds etc, proc and sys.
type tree string

// maxFile is the most that is read of a file; what is sought stands at the
// beginning of those that are longer.
const maxFile = 16 << 10

// open opens a regular file; others, such as a named pipe, might block.
func (t tree) open(name string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(string(t), name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(name + " is not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// read returns the beginning of a file, nothing if it cannot be read.
func (t tree) read(name string) string {
	file, err := t.open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return ""
	}
	return string(content)
}

// line returns the content of a file that holds one line.
func (t tree) line(name string) string { return printable(t.read(name)) }

// printable trims a text, and drops it if it is no single printable line of
// at most 128 bytes. Device tree texts end with a zero byte.
func printable(s string) string {
	s = strings.TrimSpace(strings.TrimSuffix(s, "\x00"))
	unprintable := func(c rune) bool { return !unicode.IsPrint(c) }
	if len(s) > 128 || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return ""
	}
	return s
}

// machineID returns the first of: the machine ID (machine-id(5)), that of
// D-Bus, the serial number of the board, the address of a network interface.
func machineID(t tree) string {
	for _, name := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		if id := t.line(name); len(id) == 32 && isHex(id) && strings.Trim(id, "0") != "" {
			return id
		}
	}
	serial := t.line("proc/device-tree/serial-number")
	if len(serial) >= 8 && len(serial) <= 32 && isHex(serial) && strings.Trim(serial, "0") != "" {
		return "serial-" + serial
	}
	return hardwareAddress(t)
}

// hardwareAddress returns mac- and the first permanent Ethernet address, in
// the order of interface names.
func hardwareAddress(t tree) string {
	interfaces, _ := filepath.Glob(filepath.Join(string(t), "sys/class/net/*"))
	for _, path := range interfaces {
		name := filepath.Join("sys/class/net", filepath.Base(path))
		address := strings.ReplaceAll(t.line(name+"/address"), ":", "")
		permanent := t.line(name+"/addr_assign_type") == "0"
		if permanent && len(address) == 12 && isHex(address) && strings.Trim(address, "0") != "" {
			return "mac-" + address
		}
	}
	return ""
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

// uuid returns s in lower case if it has the form of RFC 4122 section 3.
func uuid(s string) string {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(s) != len(form) {
		return ""
	}
	for i := range len(s) {
		if form[i] == '-' && s[i] != '-' || form[i] == 'x' && !isHex(s[i:i+1]) {
			return ""
		}
	}
	return strings.ToLower(s)
}

// osImage returns PRETTY_NAME of os-release(5).
func osImage(osRelease string) string {
	for line := range strings.Lines(osRelease) {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return printable(strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return ""
}

// Bits of a watchdog's boot status, linux/watchdog.h.
const (
	watchdogOverheat   = 0x01
	watchdogPowerUnder = 0x10
	watchdogCardReset  = 0x20
)

// resetReason translates a watchdog's boot status. Most machines have none, and
// it tells only resets of the hardware.
func resetReason(status string) string {
	bits, err := strconv.ParseUint(status, 0, 32)
	switch {
	case err != nil:
		return ""
	case bits&watchdogCardReset != 0:
		return "watchdog"
	case bits&watchdogPowerUnder != 0:
		return "power-fault"
	case bits&watchdogOverheat != 0:
		return "overheat"
	}
	return ""
}

// cores counts a list of CPUs such as 0-3,8, 0 if it is malformed.
func cores(list string) int {
	const most = 1 << 16
	sum := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, lowErr := strconv.Atoi(from)
		high, highErr := strconv.Atoi(to)
		if lowErr != nil || highErr != nil || low < 0 || high < low || high >= most {
			return 0
		}
		sum += high - low + 1
	}
	return min(sum, most)
}

// clock returns the highest clock rate of the first CPU, in kHz: from cpufreq,
// or, in virtual machines, what /proc/cpuinfo says.
func clock(t tree) uint32 {
	if kHz, err := strconv.ParseUint(t.line("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"), 10, 32); err == nil {
		return uint32(kHz)
	}
	for line := range strings.Lines(t.read("proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "cpu MHz" {
			return kiloHertz(strings.TrimSpace(value))
		}
	}
	return 0
}

func kiloHertz(megaHertz string) uint32 {
	value, err := strconv.ParseFloat(megaHertz, 64)
	if err != nil || !(value > 0 && value < 1e6) {
		return 0
	}
	return uint32(value * 1000)
}
