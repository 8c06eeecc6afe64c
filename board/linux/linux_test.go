// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package linux

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

func newBoard(t *testing.T, o Options) *Board {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func read(b *Board) (r board.Readings) {
	b.sensors.Read(0, &r)
	return r
}

// TestMachines reads three machines, but for the disk, which is this one's.
func TestMachines(t *testing.T) {
	t.Parallel()
	for root, want := range map[string]struct {
		facts    board.Facts
		readings board.Readings
	}{
		"pi": {
			board.Facts{
				ID: "4f0b2c1d9e8a47b6a5d3c2b1f0e9d8c7", BootID: "0d6a1c52-3f1e-4b8e-9a57-6f0c2d4e8b13",
				KernelVersion: "6.6.51+rpt-rpi-v8", OSImage: "Debian GNU/Linux 12 (bookworm)", ResetReason: "watchdog",
				Cores: 4, ClockKHz: 1_800_000, MemoryBytes: 3885288 * 1024,
			},
			board.Readings{
				HeapTotal: 3885288 * 1024, HeapUsed: (3885288 - 3405800) * 1024,
				CPUTime: 282_610 * time.Millisecond, HasCPUTime: true,
				TemperatureMilli: 45277, HasTemperature: true, RSSI: -56, HasRSSI: true,
			},
		},
		"server": {
			board.Facts{
				ID: "c2d5f3a86b914e0f8a7d1b2c3e4f5a6b", SystemUUID: "4c4c4544-0042-3510-8058-b4c04f4a5331",
				BootID: "7f9a3e10-52c4-4d6b-8e21-90ab12cd34ef", KernelVersion: "5.14.0-427.el9.x86_64",
				OSImage: "Rocky Linux 9.4 (Blue Onyx)", Cores: 127, ClockKHz: 2_793_438, MemoryBytes: 263856420 * 1024,
			},
			board.Readings{
				HeapTotal: 263856420 * 1024, HeapUsed: (263856420 - 240118876) * 1024,
				CPUTime: (992834112 + 81223 + 410023991 + 20388112) * 10 * time.Millisecond, HasCPUTime: true,
				TemperatureMilli: 27800, HasTemperature: true,
			},
		},
		"router": {
			board.Facts{
				ID: "mac-74acb91c2d3e", BootID: "1d2e3f40-5a6b-4c7d-8e9f-a0b1c2d3e4f5", KernelVersion: "5.15.167",
				OSImage: "OpenWrt 23.05.5", Cores: 4, MemoryBytes: 121976 * 1024,
			},
			board.Readings{
				HeapTotal: 121976 * 1024, HeapUsed: (121976 - 73548) * 1024,
				CPUTime: 78_230 * time.Millisecond, HasCPUTime: true,
			},
		},
	} {
		b := newBoard(t, Options{Root: filepath.Join("testdata", root)})
		facts, readings := b.Board().Facts, read(b)
		if facts.FlashBytes == 0 || readings.FlashTotal > facts.FlashBytes || readings.FlashUsed > readings.FlashTotal {
			t.Errorf("%s: disk of %d bytes, %d of %d used", root, facts.FlashBytes, readings.FlashUsed, readings.FlashTotal)
		}
		facts.FlashBytes, readings.FlashTotal, readings.FlashUsed = 0, 0, 0
		want.facts.Model = "linux"
		if facts != want.facts {
			t.Errorf("%s:\n got %+v\nwant %+v", root, facts, want.facts)
		}
		if readings != want.readings {
			t.Errorf("%s:\n got %+v\nwant %+v", root, readings, want.readings)
		}
	}
}

// TestThisMachine reads the machine that runs the test.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	storage := filepath.Join(t.TempDir(), "record")
	b, err := New(Options{StoragePath: storage})
	if errors.Is(err, errNoID) {
		t.Skip(err) // a container without machine ID and network
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, r := b.Board(), read(b)
	f := whole.Facts
	if f.Model != "linux" || f.Cores < runtime.NumCPU() || f.KernelVersion == "" || f.BootID == "" {
		t.Errorf("facts: %+v", f)
	}
	if r.HeapTotal != f.MemoryBytes || r.HeapUsed == 0 || r.HeapUsed >= r.HeapTotal || !r.HasCPUTime {
		t.Errorf("readings: %+v, memory %d", r, f.MemoryBytes)
	}
	if whole.Pins != nil || whole.LED != nil {
		t.Error("parts were invented")
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(storage), &disk); err != nil || f.FlashBytes != disk.Blocks*uint64(disk.Bsize) {
		t.Errorf("disk of %d bytes, want %d blocks of %d; %v", f.FlashBytes, disk.Blocks, disk.Bsize, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if closed := read(b); closed != (board.Readings{}) {
		t.Errorf("after Close: %+v", closed)
	}
}

func TestStorage(t *testing.T) {
	t.Parallel()
	o := Options{Root: "testdata/pi", StoragePath: filepath.Join(t.TempDir(), "new", "record")}
	if err := newBoard(t, o).Board().Storage.Save([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, board.MaxStored)
	if n, err := newBoard(t, o).Board().Storage.Load(p); string(p[:n]) != "kept" || err != nil {
		t.Errorf("loaded %q, %v", p[:n], err)
	}
	if b := newBoard(t, Options{Root: "testdata/pi"}); b.Board().Storage != nil {
		t.Error("there is storage without a path")
	}
	o.StoragePath = filepath.Join(o.StoragePath, "below-a-file")
	if _, err := New(o); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestNewFailures(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Root: t.TempDir()}); !errors.Is(err, errNoID) {
		t.Errorf("a machine without identity: %v", err)
	}
	if _, err := New(Options{Root: filepath.Join(t.TempDir(), "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
	_, err := New(Options{Root: "testdata/pi", GPIOChip: "testdata/pi/etc/machine-id"})
	if !errors.Is(err, syscall.ENOTTY) || !strings.Contains(err.Error(), "GPIO chip testdata/pi/etc/machine-id") {
		t.Errorf("a file as GPIO chip: %v", err)
	}
}

// sources are all files that New and Read look at.
var sources = []string{
	"etc/machine-id", "var/lib/dbus/machine-id", "etc/os-release", "proc/meminfo", "proc/stat", "proc/cpuinfo",
	"proc/net/wireless", "proc/device-tree/serial-number", "proc/sys/kernel/random/boot_id", "proc/sys/kernel/osrelease",
	"sys/class/dmi/id/product_uuid", "sys/class/watchdog/watchdog0/bootstatus", "sys/class/thermal/thermal_zone0/temp",
	"sys/devices/system/cpu/online", "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
	"sys/class/net/eth0/address", "sys/class/net/eth0/addr_assign_type",
}

func writeFile(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestHostileFiles fills every file with the same nonsense: nothing is
// reported of it but the disk.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty":    "",
		"newlines": "\n\n\n",
		"zeros":    strings.Repeat("\x00", 100),
		"huge":     strings.Repeat("9", 4*maxFile),
		"garbage":  "\xff\xfe\x1b[31m\u202e: kB cpu = - 0-",
		"negative": "-99999\n-99999\n",
		"keys":     "MemTotal:\nMemAvailable: kB\ncpu \nwlan0:\nPRETTY_NAME=\x01\ncpu MHz : NaN\n",
		"overflow": "MemTotal: 18446744073709551615 kB\nMemAvailable: 99999999999999999999 kB\nwlan0: 0 0 -99999. 0\ncpu MHz : 1e300\n",
		"inverted": "MemTotal: 1 kB\nMemAvailable: 2 MB\nwlan0: 0 0 40. 0\nPRETTY_NAME=" + strings.Repeat("x", 129) + "\n",
	} {
		root := t.TempDir()
		for _, source := range sources {
			writeFile(t, root, source, content)
		}
		if _, err := New(Options{Root: root}); !errors.Is(err, errNoID) {
			t.Errorf("%s: identified, or failed otherwise: %v", name, err)
		}
		writeFile(t, root, "etc/machine-id", strings.Repeat("a1", 16))
		b := newBoard(t, Options{Root: root})
		facts, r := b.Board().Facts, read(b)
		facts.FlashBytes, r.FlashTotal, r.FlashUsed = 0, 0, 0
		if want := (board.Facts{Model: "linux", ID: strings.Repeat("a1", 16)}); facts != want || r != (board.Readings{}) {
			t.Errorf("%s: reported %+v, %+v", name, facts, r)
		}
	}
}

// TestNotFiles puts folders and named pipes where files are expected: nothing
// may wait for a writer.
func TestNotFiles(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(path string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		root := t.TempDir()
		for _, source := range sources {
			path := filepath.Join(root, source)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), create(path)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := New(Options{Root: root}); !errors.Is(err, errNoID) {
			t.Errorf("%s: identified, or failed otherwise: %v", name, err)
		}
	}
}

// TestSensorsFollowFiles changes files that are open already.
func TestSensorsFollowFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFile(t, root, "etc/machine-id", strings.Repeat("a1", 16))
	writeFile(t, root, "sys/class/thermal/thermal_zone0/temp", "21000\n")
	b := newBoard(t, Options{Root: root})
	for content, want := range map[string]int32{"22500\n": 22500, "-4000\n": -4000, "": 0, "150001\n": 0, "-55001\n": 0} {
		writeFile(t, root, "sys/class/thermal/thermal_zone0/temp", content)
		if r := read(b); r.TemperatureMilli != want || r.HasTemperature != (want != 0) {
			t.Errorf("%q: read %d, %v", content, r.TemperatureMilli, r.HasTemperature)
		}
	}
}

// TestConcurrentReads is for the race detector.
func TestConcurrentReads(t *testing.T) {
	t.Parallel()
	b := newBoard(t, Options{Root: "testdata/pi"})
	want := read(b).TemperatureMilli
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if got := read(b).TemperatureMilli; got != want {
					t.Errorf("read %d, want %d", got, want)
				}
			}
		})
	}
	group.Wait()
}

func newSensors(t testing.TB, root string) *sensors {
	t.Helper()
	s, err := openSensors(root, root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestReadAllocatesNothing(t *testing.T) {
	for _, root := range []string{"/", "testdata/pi", "testdata/server", "testdata/router"} {
		s := newSensors(t, root)
		var r board.Readings
		if allocs := testing.AllocsPerRun(100, func() { s.Read(0, &r) }); allocs != 0 || r.HeapTotal == 0 {
			t.Errorf("%s: %v allocations, want 0; read %+v", root, allocs, r)
		}
	}
}

// BenchmarkRead reads the machine that runs it, and a Raspberry Pi's files.
func BenchmarkRead(b *testing.B) {
	for name, root := range map[string]string{"host": "/", "pi": "testdata/pi"} {
		b.Run(name, func(b *testing.B) {
			s := newSensors(b, root)
			var r board.Readings
			b.ReportAllocs()
			for b.Loop() {
				s.Read(0, &r)
			}
		})
	}
}

func TestUptime(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]time.Duration{
		"93784.52 350123.11": 93784520 * time.Millisecond, "0.00 0.00": 0, "12 3": 12 * time.Second,
		"": 0, "-5.0 1": 0, "soon": 0, "99999999999999999999.0 1": 0, "5m 1": 0, "NaN 1": 0, "Inf": 0,
	} {
		if got := uptime(line); got != want {
			t.Errorf("uptime(%q) = %v, want %v", line, got, want)
		}
	}
	b, err := New(Options{Root: "testdata/pi"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := b.Uptime(); got != 93784520*time.Millisecond {
		t.Errorf("the Raspberry Pi has been up for %v", got)
	}
}
