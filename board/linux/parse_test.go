// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestCores(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]int{
		"0": 1, "0-3": 4, "0-3,8": 5, "0,2,4-7": 6,
		"": 0, "-": 0, "3-0": 0, "0-": 0, "-1": 0, "0,": 0, "a": 0, "0-65536": 0, "0-99999999999999999999": 0,
		strings.Repeat("0-65535,", 9) + "0": 1 << 16,
	} {
		if got := cores(list); got != want {
			t.Errorf("cores(%q) = %d, want %d", list, got, want)
		}
	}
}

func TestResetReason(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"": "", "0": "", "2": "", "32": "watchdog", "0x20": "watchdog", "33": "watchdog", "16": "power-fault", "1": "overheat", "-1": "", "x": "",
	} {
		if got := resetReason(status); got != want {
			t.Errorf("resetReason(%q) = %q, want %q", status, got, want)
		}
	}
}

func TestMachineID(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef0123456789abcdef"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"machine ID first", map[string]string{"etc/machine-id": id + "\n", "proc/device-tree/serial-number": "100000003d1f42a7\x00"}, id},
		{"uninitialized", map[string]string{"etc/machine-id": "uninitialized\n", "var/lib/dbus/machine-id": id}, id},
		{"all zeros", map[string]string{"etc/machine-id": strings.Repeat("0", 32)}, ""},
		{"serial number", map[string]string{"proc/device-tree/serial-number": "100000003d1f42a7\x00"}, "serial-100000003d1f42a7"},
		{"no serial number", map[string]string{"proc/device-tree/serial-number": "0000000000000000\x00"}, ""},
		{"random address", map[string]string{"sys/class/net/eth0/address": "02:00:00:00:00:01", "sys/class/net/eth0/addr_assign_type": "1"}, ""},
		{"path in the ID", map[string]string{"etc/machine-id": "../../../../../etc/passwd0000000\n"}, ""},
	} {
		root := t.TempDir()
		for name, content := range tc.files {
			writeFile(t, root, name, content)
		}
		if got := machineID(tree(root)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	const valid = "4c4c4544-0042-3510-8058-b4c04f4a5331"
	for s, want := range map[string]string{
		valid: valid, strings.ToUpper(valid): valid,
		"": "", valid + "0": "", strings.ReplaceAll(valid, "-", "0"): "", strings.Replace(valid, "c", "g", 1): "", strings.Replace(valid, "4", "-", 1): "",
	} {
		if got := uuid(s); got != want {
			t.Errorf("uuid(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestBusyTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		stat string
		want time.Duration
		ok   bool
	}{
		{"cpu  1 2 4 1000 2000 8 16 4000 1 1\n", 310 * time.Millisecond, true},
		{"cpu 0 0 0 0 0 0 0", 0, true},
		{"cpu 0 0 0 0 0 0\n1", 0, false},
		{"cpu0 1 2 4 1000 2000 8 16\n", 0, false},
		{"cpu 922337203685477580 0 0 0 0 0 0", 0, false},
		{"cpu 922337203685 0 0 0 0 0 0", 9223372036850 * time.Millisecond, true},
		{"cpu 922337203685 0 0 9 9 1 0", 0, false},
		{"cpu 1 1 1 1 1 1 -1", 0, false},
	} {
		if got, ok := busyTime([]byte(tc.stat)); ok != tc.ok || ok && got != tc.want {
			t.Errorf("busyTime(%q) = %v, %v; want %v, %v", tc.stat, got, ok, tc.want, tc.ok)
		}
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	const heading = "Inter-| sta-|\n face | tus |\n"
	for _, tc := range []struct {
		lines string
		want  int16
	}{
		{"wlan0: 0000 54. -56. -256 0\n", -56},
		{"wlan0: 0000 54. -56 -256 0", -56},
		{"wlan0: 0000 0. 0. 0. 0\nwlan1: 0000 40. -71. -256. 0\n", -71},
		{"wlan0: 0000 54. 200. 0\n", 0},
		{"wlan0: 0000 54. -129. 0\n", 0},
		{"wlan0: 0000 54.\n", 0},
		{"", 0},
	} {
		if got, ok := signal([]byte(heading + tc.lines)); got != tc.want || ok != (tc.want != 0) {
			t.Errorf("signal(%q) = %d, %v; want %d", tc.lines, got, ok, tc.want)
		}
	}
}

// FuzzParse: what is read is in bounds, whatever the kernel writes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "MemTotal: 1 kB\nMemAvailable: 2 kB\n", "cpu 1 2 3 4 5 6 7\n", "wlan0: 0 54. -56. 0\n", "45277\n", "0-3,8", "4c4c4544-0042-3510-8058-b4c04f4a5331", "PRETTY_NAME=\"x\"\n", "2793.438"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		content := []byte(s)
		total, available := memory(content)
		if total > math.MaxInt64 || available > math.MaxInt64 {
			t.Errorf("memory %d, %d", total, available)
		}
		if busy, ok := busyTime(content); ok && busy < 0 {
			t.Errorf("busy for %v", busy)
		}
		if dBm, ok := signal(content); ok != (dBm < 0) || dBm < -128 {
			t.Errorf("signal %d, %v", dBm, ok)
		}
		if milli, ok := temperature(content); ok && (milli < -55_000 || milli > 150_000) {
			t.Errorf("temperature %d", milli)
		}
		if n := cores(s); n < 0 || n > 1<<16 {
			t.Errorf("%d cores", n)
		}
		if text := printable(osImage(s)); len(text) > 128 || text != osImage(s) {
			t.Errorf("OS image %q", text)
		}
		if kHz := kiloHertz(s); kHz > 1e9 {
			t.Errorf("%d kHz", kHz)
		}
		if id := uuid(s); id != "" && len(id) != 36 {
			t.Errorf("UUID %q", id)
		}
	})
}
