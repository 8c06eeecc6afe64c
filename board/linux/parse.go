// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// memory reads MemTotal and MemAvailable of /proc/meminfo, in bytes; both are
// 0 if one is missing.
func memory(meminfo []byte) (total, available uint64) {
	hasTotal, hasAvailable := false, false
	for len(meminfo) > 0 && !(hasTotal && hasAvailable) {
		var line []byte
		line, meminfo, _ = bytes.Cut(meminfo, []byte("\n"))
		key, rest := nextField(line)
		switch string(key) {
		case "MemTotal:":
			total, hasTotal = kibibytes(rest)
		case "MemAvailable:":
			available, hasAvailable = kibibytes(rest)
		}
	}
	if !hasTotal || !hasAvailable {
		return 0, 0
	}
	return total, available
}

// kibibytes reads a number and the unit kB, which in /proc is 1024 bytes.
func kibibytes(text []byte) (uint64, bool) {
	number, rest := nextField(text)
	unit, _ := nextField(rest)
	n, ok := parseUint(number)
	if !ok || string(unit) != "kB" || n > math.MaxInt64>>10 {
		return 0, false
	}
	return n << 10, true
}

// tick is the unit of /proc/stat: USER_HZ is 100 on all architectures that Go
// knows.
const tick = 10 * time.Millisecond

// busyTime sums the first line of /proc/stat (proc_stat(5)): user, nice,
// system, irq and softirq. Time of guests is in user already, stolen time was
// spent by others. A sum beyond 292 years does not fit and is left out.
func busyTime(stat []byte) (time.Duration, bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	name, line := nextField(line)
	if string(name) != "cpu" {
		return 0, false
	}
	const most = uint64(math.MaxInt64 / tick)
	sum := uint64(0)
	for i := range 7 {
		var field []byte
		field, line = nextField(line)
		ticks, ok := parseUint(field)
		if !ok || ticks > most {
			return 0, false
		}
		if idle := i == 3 || i == 4; !idle {
			sum += ticks
		}
	}
	return time.Duration(sum) * tick, sum <= most
}

// temperature reads a thermal zone, in thousandths of a degree Celsius. Values
// beyond what silicon survives come from zones without a sensor.
func temperature(temp []byte) (int32, bool) {
	if len(temp) == 0 {
		return 0, false
	}
	field, rest := nextField(temp)
	milli, err := strconv.ParseInt(string(field), 10, 32)
	if err != nil || len(rest) > 1 || milli < -55_000 || milli > 150_000 {
		return 0, false
	}
	return int32(milli), true
}

// signal reads the signal level of the first interface of /proc/net/wireless
// that reports it in dBm. Positive levels are of a scale of the driver's own.
func signal(wireless []byte) (int16, bool) {
	for len(wireless) > 0 {
		var line []byte
		line, wireless, _ = bytes.Cut(wireless, []byte("\n"))
		name, line := nextField(line)
		if !bytes.HasSuffix(name, []byte(":")) {
			continue // a line of the heading
		}
		_, line = nextField(line) // status
		_, line = nextField(line) // link quality
		level, _ := nextField(line)
		level = bytes.TrimSuffix(level, []byte("."))
		dBm, err := strconv.ParseInt(string(level), 10, 16)
		if err == nil && dBm >= -128 && dBm < 0 {
			return int16(dBm), true
		}
	}
	return 0, false
}

// nextField cuts off the text up to the next white space.
func nextField(text []byte) (field, rest []byte) {
	start := 0
	for start < len(text) && isSpace(text[start]) {
		start++
	}
	end := start
	for end < len(text) && !isSpace(text[end]) {
		end++
	}
	return text[start:end], text[end:]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

func parseUint(text []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(text), 10, 64)
	return n, err == nil
}
