// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"strings"
	"testing"

	"github.com/picolet/picolet/settings"
)

func TestText(t *testing.T) {
	t.Parallel()
	const wantLeast = `Node name             pico-1
Wi-Fi network         home
Wi-Fi passphrase      none, an open network
Wi-Fi country         worldwide
Gateway               192.168.1.10:6080
Gateway key           not set
Board key             not set
Join token            not set
API token             not set
Kubelet port token    not set
Labels                none
ConfigMaps            default
Taint                 default
Status update         default
Status report         default
Lease                 default
Provisioned           2027-01-15T08:00:00Z
`
	const wantWhole = `Node name             pico-1.lab
Wi-Fi network         café ☕
Wi-Fi passphrase      set
Wi-Fi security        WPA3 only
Wi-Fi country         DE
Gateway               gateway.lab:6080
Gateway key           61207075626c6963206b6579206f66203332206279746573202e2e2e2e2e2e21
Next gateway key      616e6f74686572207075626c6963206b6579206f66203332206279746573202e
Board key             set
Join token            set
API token             set
Kubelet port token    set
Labels                example.com/room=attic,empty=
ConfigMaps            default/pico,lab/leds
Taint                 none
Status update         15s
Status report         1m0.001s
Lease                 30s
Provisioned           2027-01-15T08:00:00Z
`
	for want, s := range map[string]settings.Settings{wantLeast: least(), wantWhole: whole()} {
		if got := s.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestTerminalsAreSafe(t *testing.T) {
	t.Parallel()
	s := least()
	s.SSID = "a\x1b[2Jb\nc"
	if got := s.String(); strings.ContainsAny(got, "\x1b") || !strings.Contains(got, `"a\x1b[2Jb\nc"`) {
		t.Errorf("%q", got)
	}
}
