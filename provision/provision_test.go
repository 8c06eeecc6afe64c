// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

const settingsAddress = 0x10000000 + flash.SettingsOffset

// least is what a board cannot do without. Its secret contains "secret".
func least() settings.Settings {
	return settings.Settings{NodeName: "pico-1", SSID: "home", Passphrase: "secret passphrase", Gateway: "gateway:6080", Provisioned: 1_800_000_000}
}

func mustUF2(t testing.TB, s settings.Settings) []byte {
	t.Helper()
	file, err := provision.UF2(s)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func encode(t testing.TB, segments ...uf2.Segment) []byte {
	t.Helper()
	file, err := uf2.Encode(uf2.RP2040, segments...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestUF2: both copies, the first one first, whole sectors, and nothing else of the flash.
func TestUF2(t *testing.T) {
	t.Parallel()
	block, err := least().AppendBlock(nil)
	if err != nil {
		t.Fatal(err)
	}
	sector := append(bytes.Clone(block), bytes.Repeat([]byte{0xff}, flash.SectorSize-len(block))...)
	want := encode(t, uf2.Segment{Address: 0x101fe000, Bytes: sector}, uf2.Segment{Address: 0x101ff000, Bytes: sector})
	if got := mustUF2(t, least()); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	s := least()
	s.SSID = ""
	if file, err := provision.UF2(s); err != settings.ErrSSID || file != nil {
		t.Errorf("%d bytes, %v", len(file), err)
	}
}

func TestProvisionedNow(t *testing.T) {
	t.Parallel()
	s := least()
	s.Provisioned = 0
	got, err := provision.Read(mustUF2(t, s))
	if age := time.Since(time.Unix(got.Provisioned, 0)); err != nil || age < 0 || age > time.Minute {
		t.Errorf("provisioned %v ago, %v", age, err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dump := bytes.Repeat([]byte{0xff}, flash.Size)
	block, err := least().AppendBlock(nil)
	if err != nil {
		t.Fatal(err)
	}
	copy(dump[flash.SettingsOffset+flash.SectorSize:], block) // the second copy alone
	firmware := uf2.Segment{Address: 0x10000000, Bytes: make([]byte, 256)}
	both := encode(t, firmware, uf2.Segment{Address: settingsAddress, Bytes: block})
	for name, file := range map[string][]byte{"UF2": mustUF2(t, least()), "copy of flash": dump, "firmware with settings": both} {
		before := bytes.Clone(file)
		if got, err := provision.Read(file); err != nil || !reflect.DeepEqual(got, least()) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if !bytes.Equal(file, before) {
			t.Errorf("%s: Read changed the file", name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	newer, err := flash.AppendBlock(nil, 1, []byte{7, 0, 1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 256)
	whole := mustUF2(t, least())
	other := bytes.Clone(whole)
	for at := 28; at < len(other); at += 512 {
		copy(other[at:], []byte{0x59, 0xff, 0x8b, 0xe4})
	}
	payload := bytes.Clone(whole)
	copy(payload[3*512+16:], []byte{476 & 0xff, 476 >> 8})
	damaged := bytes.Clone(whole)
	for at := 40; at < len(damaged); at += 512 {
		damaged[at]++
	}
	for name, tc := range map[string]struct {
		file []byte
		want error
		says string
	}{
		"nothing":         {nil, provision.ErrNotFlash, ""},
		"text":            {[]byte("node-name,ssid\n"), provision.ErrNotFlash, ""},
		"half a dump":     {make([]byte, flash.Size/2), provision.ErrNotFlash, "a copy of all flash (2 MiB, 2097152 bytes), but 1048576 bytes"},
		"4 MiB of flash":  {make([]byte, 2*flash.Size), provision.ErrNotFlash, "but 4194304 bytes"},
		"large payload":   {payload, uf2.ErrPayload, "block 3: its payload is 476 bytes"},
		"erased dump":     {bytes.Repeat([]byte{0xff}, flash.Size), settings.ErrNone, "picolet provision"},
		"zero dump":       {make([]byte, flash.Size), settings.ErrNone, ""},
		"ELF":             {append([]byte("\x7fELF"), page...), provision.ErrFirmware, ""},
		"firmware":        {encode(t, uf2.Segment{Address: 0x10000000, Bytes: page}), provision.ErrFirmware, ""},
		"up to them":      {encode(t, uf2.Segment{Address: settingsAddress - 256, Bytes: page}), provision.ErrFirmware, ""},
		"for RAM":         {encode(t, uf2.Segment{Address: 0x20000000, Bytes: page}), provision.ErrRange, "0x20000000"},
		"below the flash": {encode(t, uf2.Segment{Address: 0x0fffff00, Bytes: page}), provision.ErrRange, ""},
		"beyond":          {encode(t, uf2.Segment{Address: 0x10200000, Bytes: page}), provision.ErrRange, ""},
		"another family":  {other, uf2.ErrFamily, "RP2350"},
		"cut":             {whole[:512], uf2.ErrTruncated, "1 of 32"},
		"cut in a block":  {whole[:700], uf2.ErrTruncated, ""},
		"damaged":         {damaged, settings.ErrNone, ""},
		"newer":           {encode(t, uf2.Segment{Address: settingsAddress, Bytes: newer}), settings.NewerError(7), "format 7"},
	} {
		got, err := provision.Read(tc.file)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !reflect.DeepEqual(got, settings.Settings{}) {
			t.Errorf("%s: %v, %v; want %v with %q", name, got, err, tc.want, tc.says)
		}
	}
}

// TestFirmwareAndSettings: one file has both, by ascending address, and each block
// counts all of them.
func TestFirmwareAndSettings(t *testing.T) {
	t.Parallel()
	image := uf2.Segment{Address: 0x10000000, Bytes: bytes.Repeat([]byte{0x42}, 5000/256*256)}
	firmware, err := provision.ParseFirmware(encode(t, image))
	if err != nil {
		t.Fatal(err)
	}
	file, err := firmware.UF2(least())
	if err != nil {
		t.Fatal(err)
	}
	last := uint32(0)
	for at := 0; at < len(file); at += 512 {
		address, number, total := binary.LittleEndian.Uint32(file[at+12:]), binary.LittleEndian.Uint32(file[at+20:]), binary.LittleEndian.Uint32(file[at+24:])
		if address <= last || number != uint32(at/512) || total != uint32(len(file)/512) || number%16 != address%4096/256 {
			t.Fatalf("block %d of %d at %#x, after %#x", number, total, address, last)
		}
		last = address
	}
	if s, err := provision.Read(file); err != nil || !reflect.DeepEqual(s, least()) {
		t.Errorf("%v, %v", s, err)
	}
	other := least()
	other.NodeName, other.Passphrase = "pico-2", "another passphrase"
	again, err := provision.ParseFirmware(file)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.UF2(other)
	if err != nil || bytes.Contains(second, []byte(least().Passphrase)) {
		t.Errorf("the settings of the board before are in the file, %v", err)
	}
	if s, err := provision.Read(second); err != nil || s.NodeName != "pico-2" {
		t.Errorf("%v, %v", s, err)
	}
}

func TestParseFirmwareRefuses(t *testing.T) {
	t.Parallel()
	page := make([]byte, 256)
	for name, tc := range map[string]struct {
		file []byte
		want error
	}{
		"settings alone":     {mustUF2(t, least()), provision.ErrNoFirmware},
		"text":               {[]byte("node-name,ssid"), provision.ErrNoFirmware},
		"no beginning":       {encode(t, uf2.Segment{Address: 0x10001000, Bytes: page}), provision.ErrNoFirmware},
		"into the record":    {encode(t, uf2.Segment{Address: 0x10000000, Bytes: make([]byte, flash.RecordOffset+256)}), provision.ErrTooLarge},
		"the record alone":   {encode(t, uf2.Segment{Address: 0x10000000, Bytes: page}, uf2.Segment{Address: 0x101f0000, Bytes: page}), provision.ErrTooLarge},
		"all flash":          {encode(t, uf2.Segment{Address: 0x10000000, Bytes: make([]byte, flash.Size)}), provision.ErrTooLarge},
		"more than a Pico's": {encode(t, uf2.Segment{Address: 0x10200000, Bytes: page}), provision.ErrRange},
		"for RAM":            {encode(t, uf2.Segment{Address: 0x20000000, Bytes: page}), provision.ErrRange},
	} {
		if f, err := provision.ParseFirmware(tc.file); !errors.Is(err, tc.want) || f != nil {
			t.Errorf("%s: %d segments, %v", name, len(f), err)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	full := least()
	full.Token, full.ServerToken, full.JoinToken = "secret-a", "secret-b", "secret-c"
	full.BoardKey = [32]byte([]byte("secret key of the board ........"))
	full.GatewayKey[31] = 0xab
	full.Country, full.NoTaint, full.LeaseDuration = "DE", true, 30*time.Second
	full.Labels = []kubelet.Label{{Key: "room", Value: "attic"}}
	full.ConfigMaps = []kubelet.ObjectName{{Namespace: "a", Name: "b"}}
	const wantLeast = `{"nodeName":"pico-1","ssid":"home","passphraseSet":true,"gateway":"gateway:6080","boardKeySet":false,` +
		`"joinTokenSet":false,"tokenSet":false,"serverTokenSet":false,"noTaint":false,"provisioned":"2027-01-15T08:00:00Z"}`
	const wantFull = `{"nodeName":"pico-1","ssid":"home","passphraseSet":true,"country":"DE","gateway":"gateway:6080",` +
		`"gatewayKey":"00000000000000000000000000000000000000000000000000000000000000ab","boardKeySet":true,` +
		`"joinTokenSet":true,"tokenSet":true,"serverTokenSet":true,"labels":{"room":"attic"},"configMaps":["a/b"],"noTaint":true,` +
		`"leaseDuration":"30s","provisioned":"2027-01-15T08:00:00Z"}`
	for want, s := range map[string]settings.Settings{wantLeast: least(), wantFull: full} {
		got, err := json.Marshal(provision.Summarize(s))
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

// FuzzRead: no file makes it panic, and what it reads a board could run with.
func FuzzRead(f *testing.F) {
	f.Add(mustUF2(f, least()))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if s, err := provision.Read(file); err == nil && s.Validate() != nil {
			t.Errorf("read %v", s)
		}
	})
}
