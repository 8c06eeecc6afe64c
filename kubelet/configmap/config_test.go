// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"testing"
	"unsafe"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
)

var (
	_ encoding.BinaryAppender    = (*configmap.Config)(nil)
	_ encoding.BinaryUnmarshaler = (*configmap.Config)(nil)
)

// What a board must set aside.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		size      uintptr
		atMost    uintptr
		becauseOf string
	}{
		{"Staged", unsafe.Sizeof(configmap.Staged{}), 1536, "one for each kubelet"},
		{"Config", unsafe.Sizeof(configmap.Config{}), 1536, "one for each kubelet"},
		{"Decoder", unsafe.Sizeof(configmap.Decoder{}), 640, "one for each stream"},
		{"record", uintptr(configmap.RecordSize), board.MaxStored, "board.Storage takes no more"},
	} {
		t.Logf("%s: %d bytes", tt.name, tt.size)
		if tt.size > tt.atMost {
			t.Errorf("%s has %d bytes, want at most %d: %s", tt.name, tt.size, tt.atMost, tt.becauseOf)
		}
	}
}

func TestApplyMerges(t *testing.T) {
	t.Parallel()
	var c configmap.Config
	if !c.Apply(stageAll(t, "1", map[string]string{"memory_values": "0=1,1=2,1023=9", "pin_3": "HIGH", "pin_4": "LOW", "led": "HIGH"})) {
		t.Error("the first configuration is no change")
	}
	if !c.Apply(stageAll(t, "2", map[string]string{"memory_values": "1=0,2=7", "pin_4": "PWM:5", "pin_5": "x"})) {
		t.Error("another configuration is no change")
	}
	want := configmap.Config{Generation: 2, LED: board.PinHigh}
	want.Memory[0], want.Memory[2], want.Memory[1023] = 1, 7, 9
	want.Pins[3] = board.PinState{Mode: board.PinHigh}
	want.Pins[4] = board.PinState{Mode: board.PinPWM, Duty: 5}
	if c.Memory != want.Memory || c.Pins != want.Pins || c.LED != want.LED || c.Generation != want.Generation {
		t.Errorf("got %v %v LED %v generation %d", c.Memory[:3], c.Pins, c.LED, c.Generation)
	}
}

// What counts as a change of a ConfigMap of memory_values 1=0 and pin_1 LOW.
func TestApplyChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		data map[string]string
		want bool
	}{
		{"nothing", map[string]string{"memory_values": "1=0", "pin_1": "LOW"}, false},
		{"how it is written", map[string]string{"memory_values": " 0x1 = 0x00,\n", "pin_1": "low"}, false},
		{"another key", map[string]string{"memory_values": "1=0", "pin_1": "LOW", "other": "x"}, false},
		{"value", map[string]string{"memory_values": "1=1", "pin_1": "LOW"}, true},
		{"one more zero", map[string]string{"memory_values": "1=0,2=0", "pin_1": "LOW"}, true},
		{"address", map[string]string{"memory_values": "2=0", "pin_1": "LOW"}, true},
		{"pin", map[string]string{"memory_values": "1=0", "pin_2": "LOW"}, true},
		{"LED", map[string]string{"memory_values": "1=0", "pin_1": "LOW", "led": "LOW"}, true},
		{"mode", map[string]string{"memory_values": "1=0", "pin_1": "PWM:0"}, true},
		{"wrong entry", map[string]string{"memory_values": "1=0,x", "pin_1": "LOW"}, true},
		{"less", map[string]string{"pin_1": "LOW"}, true},
		{"nothing left", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c configmap.Config
			c.Apply(stageAll(t, "5", map[string]string{"memory_values": "1=0", "pin_1": "LOW"}))
			next := stageAll(t, "6", tt.data)
			if got := c.Apply(next); got != tt.want {
				t.Errorf("Apply = %v, want %v", got, tt.want)
			}
			if c.Apply(next) {
				t.Error("the same once more is a change")
			}
			v, ok := c.Version(namespace, name)
			if !ok || v.ResourceVersion != 6 || v.Digest != next.Digest() {
				t.Errorf("Version = %+v, %v", v, ok)
			}
		})
	}
}

// Wrong entries are told once, and again when they are others or more.
func TestApplyWrongEntries(t *testing.T) {
	t.Parallel()
	var c configmap.Config
	for i, value := range []string{"x", "y", "x", "x,x", "x,x,x,x", "x,x,x,x,x"} {
		s := stage(t, "memory_values", value)
		if !c.Apply(s) || c.Apply(s) {
			t.Errorf("%d, %s: want a change, then none", i, value)
		}
	}
}

// A ConfigMap that is only listed again does not undo a later one.
func TestApplyTwoConfigMaps(t *testing.T) {
	t.Parallel()
	var c configmap.Config
	first := stageNamed(t, "a", "1", map[string]string{"memory_values": "0=1,1=1"})
	c.Apply(first)
	c.Apply(stageNamed(t, "b", "2", map[string]string{"memory_values": "1=2"}))
	if c.Apply(first) {
		t.Error("the first once more is a change")
	}
	if c.Memory[0] != 1 || c.Memory[1] != 2 {
		t.Errorf("memory is %v, want 1 2", c.Memory[:2])
	}
}

// The longest unchanged ConfigMap is forgotten first.
func TestVersions(t *testing.T) {
	t.Parallel()
	var c configmap.Config
	for i, as := range []string{"a", "b", "c", "a", "d", "e"} {
		c.Apply(stageNamed(t, as, fmt.Sprint(i+1), map[string]string{"memory_values": fmt.Sprintf("0=%d", i)}))
	}
	want := map[string]uint64{"a": 4, "b": 0, "c": 3, "d": 5, "e": 6}
	for as, version := range want {
		v, ok := c.Version(namespace, as)
		if ok != (version != 0) || v.ResourceVersion != version {
			t.Errorf("%s: version %d, %v, want %d", as, v.ResourceVersion, ok, version)
		}
	}
	c.Apply(stageNamed(t, "c", "7", map[string]string{"memory_values": "0=7"}))
	for as := range want {
		if _, ok := c.Version(namespace, as); ok != (as != "b") {
			t.Errorf("%s after a change of c: %v", as, ok)
		}
	}
	record, err := c.AppendBinary(nil)
	if err != nil || c.UnmarshalBinary(record) != nil {
		t.Error("the versions are out of order")
	}
	if _, ok := c.Version("default"+"a", ""); ok {
		t.Error("namespace and name run together")
	}
}

// A Staged that no Decoder filled is a ConfigMap without a name.
func TestApplyZero(t *testing.T) {
	t.Parallel()
	var (
		c configmap.Config
		s configmap.Staged
	)
	if !c.Apply(&s) || c.Apply(&s) {
		t.Error("want a change, then none")
	}
}

func filled(t *testing.T) *configmap.Config {
	t.Helper()
	c := new(configmap.Config)
	for i := range 6 {
		c.Apply(stageNamed(t, fmt.Sprint("cm-", i), fmt.Sprint(1000+i), map[string]string{
			"memory_values":         fmt.Sprintf("%d=%d,1023=1", i, i+100),
			"led":                   "HIGH",
			fmt.Sprint("pin_", 5*i): "PWM:200",
		}))
	}
	return c
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []*configmap.Config{{}, filled(t)} {
		record, err := c.AppendBinary([]byte("before"))
		if err != nil || len(record) != len("before")+configmap.RecordSize || !bytes.HasPrefix(record, []byte("before")) {
			t.Fatalf("AppendBinary: %d bytes, %v", len(record), err)
		}
		got := configmap.Config{Generation: 77}
		if err := got.UnmarshalBinary(record[len("before"):]); err != nil || got != *c {
			t.Errorf("UnmarshalBinary: %v; equal: %v", err, got == *c)
		}
	}
}

// Each bit that flips and each byte that is lost is found, and leaves the
// Config as it was.
func TestRecordDamaged(t *testing.T) {
	t.Parallel()
	record, err := filled(t).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	before := configmap.Config{Generation: 77}
	c := before
	for bit := range 8 * len(record) {
		record[bit/8] ^= 1 << (bit % 8)
		if err := c.UnmarshalBinary(record); err == nil || c != before {
			t.Fatalf("bit %d flipped: error %v; unchanged: %v", bit, err, c == before)
		}
		record[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(record) {
		if err := c.UnmarshalBinary(record[:n]); !errors.Is(err, configmap.ErrRecordLength) || c != before {
			t.Fatalf("cut to %d bytes: error %v; unchanged: %v", n, err, c == before)
		}
	}
}

// sealed returns record with a checksum that fits, as a stranger could make it.
func sealed(record []byte) []byte {
	body := record[:len(record)-8]
	h := fnv.New64a()
	h.Write(body)
	return binary.LittleEndian.AppendUint64(bytes.Clone(body), h.Sum64())
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	const header, versions = 12, 12 + configmap.RegionSize + 2*configmap.MaxPins
	tests := []struct {
		name string
		edit func(record []byte) []byte
		want error
	}{
		{"unchanged", sealed, nil},
		{"empty", func([]byte) []byte { return nil }, configmap.ErrRecordLength},
		{"longer", func(r []byte) []byte { return sealed(append(r, 0)) }, configmap.ErrRecordLength},
		{"format 1 of this length", func(r []byte) []byte { r[7] = 1; return sealed(r) }, configmap.ErrRecordLength},
		{"LED mode", func(r []byte) []byte { r[len(r)-9] = byte(board.PinPWM); return sealed(r) }, configmap.ErrRecordContent},
		{"next format", func(r []byte) []byte { r[7]++; return sealed(r) }, configmap.ErrRecordFormat},
		{"erased flash", func(r []byte) []byte { return bytes.Repeat([]byte{0xff}, len(r)) }, configmap.ErrRecordFormat},
		{"checksum", func(r []byte) []byte { r[header]++; return r }, configmap.ErrRecordChecksum},
		{"pin mode", func(r []byte) []byte { r[header+configmap.RegionSize] = 4; return sealed(r) }, configmap.ErrRecordContent},
		{"gap in versions", func(r []byte) []byte { clear(r[versions : versions+24]); return sealed(r) }, configmap.ErrRecordContent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			record, err := filled(t).AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			var c configmap.Config
			if err := c.UnmarshalBinary(tt.edit(record)); err != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAppendBinaryUnknownMode(t *testing.T) {
	t.Parallel()
	var c configmap.Config
	c.Pins[31].Mode = board.PinPWM + 1
	if b, err := c.AppendBinary([]byte("x")); err != configmap.ErrRecordContent || string(b) != "x" {
		t.Errorf("AppendBinary = %q, %v", b, err)
	}
}

// A board whose software is new reads what the old one left: all but the LED.
func TestRecordOfFormat1(t *testing.T) {
	t.Parallel()
	c := filled(t)
	record, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	old := append(record[:len(record)-9:len(record)-9], make([]byte, 8)...)
	old[7] = 1
	old = sealed(old)
	got := configmap.Config{Generation: 77}
	c.LED = board.PinFloating
	if err := got.UnmarshalBinary(old); err != nil || got != *c {
		t.Errorf("UnmarshalBinary: %v; equal: %v", err, got == *c)
	}
	for n := range len(old) {
		if err := got.UnmarshalBinary(old[:n]); err != configmap.ErrRecordLength {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// A digest is stored: it must not change with the software, or each board would
// take its ConfigMaps for changed after an update.
func TestDigestStays(t *testing.T) {
	t.Parallel()
	for want, data := range map[uint64]map[string]string{
		0x8873a922e98c43c1: {"memory_values": "0=1,x", "pin_1": "LOW"},
		0x5aa8dd7f40f910c5: {"led": "HIGH"},
	} {
		if got := stageAll(t, "1", data).Digest(); got != want {
			t.Errorf("%v: digest %#x, want %#x", data, got, want)
		}
	}
}

// FuzzRecord makes records whose checksum fits. One that is read must be
// written again as it was, and must not break Apply.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{}, "0=1")
	f.Add([]byte("picocfg\x01"), "0=1")
	f.Add(bytes.Repeat([]byte{1}, configmap.RecordSize), "1023=255")
	f.Fuzz(func(t *testing.T, edit []byte, value string) {
		record, err := filled(t).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		// Each three bytes of edit change one byte of the record.
		for ; len(edit) >= 3; edit = edit[3:] {
			record[int(binary.LittleEndian.Uint16(edit))%len(record)] = edit[2]
		}
		record = sealed(record)
		var c configmap.Config
		if err := c.UnmarshalBinary(record); err != nil {
			if c != (configmap.Config{}) {
				t.Error("the Config changed in spite of an error")
			}
			return
		}
		if again, err := c.AppendBinary(nil); err != nil || !bytes.Equal(again, record) {
			t.Errorf("written again, the record is another one; error %v", err)
		}
		next := stageNamed(t, "a", "5", map[string]string{"memory_values": value[:min(len(value), 100)]})
		c.Apply(next)
		if c.Apply(next) {
			t.Error("the same once more is a change")
		}
		if v, ok := c.Version(namespace, "a"); !ok || v.Digest != next.Digest() {
			t.Errorf("Version = %+v, %v", v, ok)
		}
	})
}
