// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/soypat/cyw43439/whd"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/board/flash/flashtest"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
	"github.com/picolet/picolet/uf2"
)

// flashBase is where a UF2 file says that the flash is.
const flashBase = 0x10000000

// candidates are values of fields, of which provisioning refuses some.
var candidates = map[string][]string{
	"node-name":  {"a", "pico-1", "pico-1.lab", strings.Repeat("a", 63), strings.Repeat("a", 64), "Pico", "-a", "a..b", "1", "pico_1"},
	"ssid":       {"home", " home ", "caf\u00e9", "caf\xe9", "\x00\xff", strings.Repeat("\xff", 32), strings.Repeat("a", 33), "line\nfeed"},
	"passphrase": {"12345678", strings.Repeat("~", 63), strings.Repeat("0f", 32), "1234567", strings.Repeat("g", 64), "\u00fcmlautnoises"},
	"wpa3":       {"true", "false", "yes"},
	"country":    {"DE", "XX", "de", "Germany"},
	"gateway": {
		"192.168.1.10", "192.168.1.10:6080", "gateway", "gateway.local:1", "gateway.local:65535", "1.gateway:6080", "223.255.255.255:1",
		"127.0.0.1", "127.0.0.1:6079", "127.9.9.9:1", "0.0.0.0", "0.0.0.0:6079", "0.1.2.3:1", "224.0.0.251:1", "239.1.2.3", "255.255.255.255:1", "240.0.0.1",
		"localhost", "localhost:6079", "pico.LOCALHOST:1", "[::1]:6079", "::1", "fe80::1", "2001:db8::1", "::",
		name(100), name(100) + ":6079", name(101), name(101) + ":6079", name(253), "gateway:0", "gateway:65536", "a_b", "1.2.3.4.5", "1.2.3", "gateway.",
	},
	"labels":                       {"a=b", "a=", "example.com/a=b,c=d", "a b=c", strings.Repeat("a=b,", 8) + "a=b", strings.Repeat(strings.Repeat("a", 63)+"="+strings.Repeat("b", 63)+",", 7) + "a=b"},
	"configmap":                    {"a/b", "a/b,c/d,e/f,g/h", "a/b,c/d,e/f,g/h,i/j", "a/b,a/b", "A/b", "a/" + strings.Repeat("b", 253)},
	"no-taint":                     {"true", "false"},
	"node-status-update-frequency": {"10s", "1s", "1h", "87600h"},
	"node-status-report-frequency": {"10s", "1s", "2000000h"},
	"lease-duration":               {"4s", "1h", "3s", "61m"},
	"server-token":                 {"t", strings.Repeat("t", 1000), "a b", "\u00fc"},
	"token":                        {"t", strings.Repeat("t", 3000), "a b", strings.Repeat("t", 5000)},
	"join-token":                   {"t", strings.Repeat("t", 128), strings.Repeat("t", 129), "a b"},
	"gateway-key":                  {strings.Repeat("0f", 32), strings.Repeat("00", 32), "0f"},
	"board-key":                    {strings.Repeat("0e", 32), "0e"},
}

// name is a DNS name of n bytes.
func name(n int) string { return strings.Repeat("a234567890.", 30)[:n-1] + "a" }

// TestProvisionedBoardStarts: a board starts with whatever provisioning accepts. The
// settings are chosen at random among values that are right, wrong and at the edge.
func TestProvisionedBoardStarts(t *testing.T) {
	t.Parallel()
	r := mathrand.New(mathrand.NewPCG(7, 7))
	started := 0
	for range 3000 {
		var s settings.Settings
		for _, f := range provision.Fields() {
			values := candidates[f.Name]
			if len(values) == 0 {
				t.Fatalf("no candidates for %s", f.Name)
			}
			required := f.Name == "node-name" || f.Name == "ssid" || f.Name == "gateway"
			for tries := 0; tries < 20 && (tries == 0 || required); tries++ {
				if (required || r.IntN(2) == 0) && f.Set(&s, values[r.IntN(len(values))]) == nil {
					break
				}
			}
		}
		file, err := provision.UF2(provision.Complete(s))
		if errors.Is(err, settings.ErrTooLarge) || errors.Is(err, settings.ErrWPA3) || len(provision.Missing(s, true)) > 0 {
			continue
		}
		if err == nil {
			err = start(t, file)
		}
		if err != nil {
			t.Fatalf("%v\n%v", err, s)
		}
		started++
	}
	if started < 1000 {
		t.Errorf("only %d boards were provisioned", started)
	}
}

// TestProvisionedValueStarts does the same with each value alone, and makes sure that
// there are accepted and refused ones of each kind.
func TestProvisionedValueStarts(t *testing.T) {
	t.Parallel()
	for _, f := range provision.Fields() {
		accepted, refused := 0, 0
		for _, value := range candidates[f.Name] {
			s := settings.Settings{NodeName: "pico-1", SSID: "home", Passphrase: "12345678", Gateway: "192.0.2.1:6079"}
			if f.Set(&s, value) != nil {
				refused++
				continue
			}
			accepted++
			file, err := provision.UF2(provision.Complete(s))
			if err == nil {
				err = start(t, file)
			}
			if err != nil {
				t.Errorf("%s %.60q: %v", f.Name, value, err)
			}
		}
		if accepted == 0 || refused == 0 && f.Name != "no-taint" {
			t.Errorf("%s: %d accepted, %d refused", f.Name, accepted, refused)
		}
	}
}

// start does what a board does with the file that was dropped on it, as the firmware
// does, until its network is up.
func start(t *testing.T, file []byte) error {
	t.Helper()
	chip := flashtest.New(flash.SettingsOffset, flash.SettingsSectors, 1)
	segments, err := uf2.Decode(file, uf2.RP2040)
	if err != nil {
		return err
	}
	for _, s := range segments {
		if err := chip.Program(s.Address-flashBase, s.Bytes); err != nil {
			return err
		}
	}
	s, err := settings.Load(chip)
	if err != nil {
		return err
	}
	if len(s.Passphrase) > 64 || len(s.SSID) > 32 { // what the Wi-Fi driver's Join takes
		return fmt.Errorf("passphrase of %d bytes, SSID of %d", len(s.Passphrase), len(s.SSID))
	}
	if s.Country != "" {
		whd.CountryInfo(s.Country, 0) // must not panic
	}
	k := new(kubelet.Kubelet)
	config := s.Kubelet()
	config.Version, config.Seed = kubelet.OldestVersion, 7
	config.Board = board.Board{Facts: board.Facts{Model: "rp2040", ID: "e6614"}, Sensors: new(testBoard)}
	if err := k.Configure(config); err != nil {
		return err
	}
	driven, err := overLink(k, s)
	if err != nil {
		return err
	}
	n, err := New(Config{Kubelet: driven, MAC: boardMAC, Hostname: s.NodeName, Gateway: s.Gateway, Seed: 42})
	if err == nil {
		n.LinkUp(0)
	}
	return err
}

// overLink puts a kubelet over a link where the settings have a gateway's key.
func overLink(k *kubelet.Kubelet, s settings.Settings) (Kubelet, error) {
	if s.GatewayKey == [settings.KeySize]byte{} {
		k.Start(0)
		return k, nil
	}
	if s.BoardKey == [settings.KeySize]byte{} {
		s.BoardKey[0] = 1
	}
	key, err := noise.NewKey(s.BoardKey)
	if err != nil {
		return nil, err
	}
	l, err := linked.New(linked.Config{
		Kubelet: k, Key: key, GatewayKey: s.GatewayKey, Random: rand.Reader, Memory: make([]byte, noise.BufferSize),
		Hello: noise.Hello{BoardID: "e6614", NodeName: s.NodeName, Version: "v1", JoinToken: s.JoinToken},
	})
	if err == nil {
		l.Start(0)
	}
	return l, err
}
