// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/emulatortest"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

// TestPicoWJoinsBySecurity: by WPA2 a board joins networks that accept WPA2, and by
// WPA3 those that accept WPA3; the log says what to do where neither is the case.
func TestPicoWJoinsBySecurity(t *testing.T) {
	t.Parallel()
	key, err := pbkdf2.Key(sha1.New, passphrase, []byte(ssid), 4096, 32) // IEEE 802.11-2020, J.4
	must(t, err)
	for name, c := range map[string]struct {
		network    emulator.Security
		passphrase string
		wpa3       bool
		says       string
	}{
		"WPA2":                       {emulator.WPA2, passphrase, false, "Wi-Fi joined"},
		"WPA2 by a key":              {emulator.WPA2, hex.EncodeToString(key), false, "Wi-Fi joined"},
		"WPA2/WPA3":                  {emulator.WPA2WPA3, passphrase, false, "Wi-Fi joined"},
		"WPA2/WPA3 by WPA3":          {emulator.WPA2WPA3, passphrase, true, "Wi-Fi joined"},
		"WPA3 by WPA3":               {emulator.WPA3, passphrase, true, "Wi-Fi joined"},
		"WPA3 with another password": {emulator.WPA3, "another horse", true, "Wi-Fi passphrase refused"},
		"WPA3 by WPA2":               {emulator.WPA3, passphrase, false, "provision the board again with --wpa3"},
		"WPA2 by WPA3":               {emulator.WPA2, passphrase, true, "Wi-Fi network cannot be found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := provision.UF2(settings.Settings{
				NodeName: "pico-1", SSID: ssid, Passphrase: c.passphrase, WPA3: c.wpa3, Gateway: "10.42.0.1:6080",
			})
			must(t, err)
			b := emulatortest.Boot(t, emulator.Config{
				Images: [][]byte{picoWImage(t), file}, SSID: ssid, Passphrase: passphrase, Security: c.network,
			})
			must(t, b.Console().Wait(t.Context(), c.says, 15*time.Second))
		})
	}
}
