// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/settings"
)

func mustAppend(t testing.TB, s settings.Settings) []byte {
	t.Helper()
	p, err := s.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAppendParse(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]settings.Settings{"zero": {}, "least": least(), "whole": whole()} {
		got, err := settings.Parse(mustAppend(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", name, got, err)
		}
	}
}

// TestBytes pins the format: boards in the field hold it.
func TestBytes(t *testing.T) {
	t.Parallel()
	const want = "0100" +
		"010600" + "7069636f2d31" + // pico-1
		"020400" + "686f6d65" + // home
		"051100" + "3139322e3136382e312e31303a36303830" + // 192.168.1.10:6080
		"0b0300" + "613d62" + // a=b
		"0c0300" + "632f64" + // c/d
		"0d0000" +
		"100800" + "00ac23fc06000000" + // 30 s
		"110800" + "00d2496b00000000" // 1 800 000 000
	s := least()
	s.Labels = []kubelet.Label{{Key: "a", Value: "b"}}
	s.ConfigMaps = []kubelet.ObjectName{{Namespace: "c", Name: "d"}}
	s.NoTaint, s.LeaseDuration = true, 30e9
	if got := hex.EncodeToString(mustAppend(t, s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestNextKeyIsOptional: firmware of before it skips the field, by its tag.
func TestNextKeyIsOptional(t *testing.T) {
	t.Parallel()
	s := least()
	before := mustAppend(t, s)
	s.NextKey[0] = 1
	p := mustAppend(t, s)
	if field := p[len(before):]; !bytes.HasPrefix(p, before) || field[0] < 0x80 || len(field) != 3+settings.KeySize {
		t.Errorf("%x behind %x", p, before)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := least()
	fits := settings.MaxSize - len(mustAppend(t, s)) - 3
	for _, length := range []int{fits, fits + 1, 1 << 16, 1<<16 + 10} {
		s.Token = strings.Repeat("t", length)
		p, err := s.Append([]byte("before"))
		if length == fits && (err != nil || len(p) != len("before")+settings.MaxSize) {
			t.Errorf("%d bytes: %d, %v", length, len(p), err)
		}
		if length > fits && (err != settings.ErrTooLarge || string(p) != "before") {
			t.Errorf("%d bytes: %d, %v", length, len(p), err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := string(mustAppend(t, least()))
	for name, tc := range map[string]struct {
		content string
		want    error
	}{
		"nothing":               {"", settings.ErrDamaged},
		"half a version":        {"\x01", settings.ErrDamaged},
		"version 0":             {"\x00\x00" + good[2:], settings.ErrDamaged},
		"version 2":             {"\x02\x00" + good[2:], settings.NewerError(2)},
		"version 258, no field": {"\x02\x01", settings.NewerError(258)},
		"half a head":           {good + "\x06\x01", settings.ErrDamaged},
		"half a value":          {good + "\x06\x02\x00a", settings.ErrDamaged},
		"length beyond":         {good + "\x06\xff\xff", settings.ErrDamaged},
		"field twice":           {good + "\x01\x01\x00a", settings.ErrDamaged},
		"empty field twice":     {good + "\x03\x00\x00\x03\x00\x00", settings.ErrDamaged},
		"tag 0":                 {good + "\x00\x00\x00", settings.ErrUnknownField},
		"tag 18":                {good + "\x12\x00\x00", settings.ErrUnknownField},
		"tag 127":               {good + "\x7f\x00\x00", settings.ErrUnknownField},
		"short key":             {good + "\x09\x02\x00ab", settings.ErrDamaged},
		"short duration":        {good + "\x0e\x02\x00ab", settings.ErrDamaged},
		"short next key":        {good + "\x80\x02\x00ab", settings.ErrDamaged},
		"two next keys":         {good + strings.Repeat("\x80\x20\x00"+strings.Repeat("k", 32), 2), settings.ErrDamaged},
		"taint of what":         {good + "\x0d\x01\x00a", settings.ErrDamaged},
		"label without =":       {good + "\x0b\x01\x00a", settings.ErrDamaged},
		"ConfigMap without /":   {good + "\x0c\x01\x00a", settings.ErrDamaged},
		"nine labels":           {good + strings.Repeat("\x0b\x02\x00a=", 9), kubelet.ErrLabels},
		"five ConfigMaps":       {good + strings.Repeat("\x0c\x02\x00a/", 5), kubelet.ErrConfigMaps},
	} {
		s, err := settings.Parse([]byte(tc.content))
		if err != tc.want || !reflect.DeepEqual(s, settings.Settings{}) {
			t.Errorf("%s: %v, %v; want %v", name, s, err, tc.want)
		}
	}
}

func TestNewerErrorNamesTheVersion(t *testing.T) {
	t.Parallel()
	var newer settings.NewerError
	_, err := settings.Parse([]byte{44, 1})
	if !errors.As(err, &newer) || newer != 300 || !strings.Contains(err.Error(), "of format 300, this picolet knows 1") {
		t.Errorf("%v", err)
	}
}

func TestOptionalFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	p := append(mustAppend(t, whole()), "\x81\x03\x00new\xff\x00\x00\x81\x00\x00"...)
	if got, err := settings.Parse(p); err != nil || !reflect.DeepEqual(got, whole()) {
		t.Errorf("%#v, %v", got, err)
	}
}

// FuzzParse: whatever can be read can be written, and reads the same again.
func FuzzParse(f *testing.F) {
	f.Add(mustAppend(f, settings.Settings{}))
	f.Add(mustAppend(f, least()))
	f.Add(mustAppend(f, whole()))
	f.Add([]byte("\x01\x00\x80\x00\x00\x0b\x01\x00="))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := settings.Parse(bytes.Clone(p))
		if err != nil {
			return
		}
		_ = s.Validate()
		_ = s.String()
		written, err := s.Append(nil)
		if err == settings.ErrTooLarge && len(p) > settings.MaxSize {
			return
		}
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", p, err)
		}
		if again, err := settings.Parse(written); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q is read again as %#v, %v", p, again, err)
		}
	})
}

func TestParseAllocatesLittle(t *testing.T) {
	p := mustAppend(t, whole())
	allocs := testing.AllocsPerRun(100, func() {
		if s, err := settings.Parse(p); err != nil || s.NodeName == "" {
			t.Error(err)
		}
	})
	if allocs > 3 { // the strings, the labels, the ConfigMaps
		t.Errorf("%v allocations", allocs)
	}
}
