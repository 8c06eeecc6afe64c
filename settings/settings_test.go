// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/settings"
)

// least is the shortest that a board can do with.
func least() settings.Settings {
	return settings.Settings{NodeName: "pico-1", SSID: "home", Gateway: "192.168.1.10:6080", Provisioned: 1_800_000_000}
}

// whole has every field set. Its secrets contain "secret".
func whole() settings.Settings {
	return settings.Settings{
		NodeName: "pico-1.lab", SSID: "café ☕", Passphrase: "secret passphrase", WPA3: true, Country: "DE",
		Gateway: "gateway.lab:6080", Token: "secret-token", ServerToken: "secret-server-token",
		BoardKey:   [32]byte([]byte("secret-board-key-of-32-bytes....")),
		GatewayKey: [32]byte([]byte("a public key of 32 bytes ......!")),
		NextKey:    [32]byte([]byte("another public key of 32 bytes .")),
		JoinToken:  "secret-join-token",
		Labels:     []kubelet.Label{{Key: "example.com/room", Value: "attic"}, {Key: "empty"}},
		ConfigMaps: []kubelet.ObjectName{{Namespace: "default", Name: "pico"}, {Namespace: "lab", Name: "leds"}},
		NoTaint:    true,

		NodeStatusUpdateFrequency: 15 * time.Second,
		NodeStatusReportFrequency: time.Minute + time.Millisecond,
		LeaseDuration:             30 * time.Second,
		Provisioned:               1_800_000_000,
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]settings.Settings{"least": least(), "whole": whole()} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	label := kubelet.Label{Key: "a", Value: "b"}
	object := kubelet.ObjectName{Namespace: "a", Name: "b"}
	for name, tc := range map[string]struct {
		change func(*settings.Settings)
		want   error
	}{
		"no node name":          {func(s *settings.Settings) { s.NodeName = "" }, kubelet.ErrNodeName},
		"capital node name":     {func(s *settings.Settings) { s.NodeName = "Pico" }, kubelet.ErrNodeName},
		"long node name":        {func(s *settings.Settings) { s.NodeName = strings.Repeat("a", 64) }, kubelet.ErrNodeName},
		"no SSID":               {func(s *settings.Settings) { s.SSID = "" }, settings.ErrSSID},
		"long SSID":             {func(s *settings.Settings) { s.SSID = strings.Repeat("a", 33) }, settings.ErrSSID},
		"blank in token":        {func(s *settings.Settings) { s.Token = "a b" }, kubelet.ErrToken},
		"blank in join token":   {func(s *settings.Settings) { s.JoinToken = "a b" }, settings.ErrJoinToken},
		"long join token":       {func(s *settings.Settings) { s.JoinToken = strings.Repeat("a", 256) }, settings.ErrJoinToken},
		"long server token":     {func(s *settings.Settings) { s.ServerToken = strings.Repeat("a", 257) }, settings.ErrServerToken},
		"blank in server token": {func(s *settings.Settings) { s.ServerToken = "a b" }, settings.ErrServerToken},
		"WPA3, open":            {func(s *settings.Settings) { s.WPA3 = true }, settings.ErrWPA3},
		"WPA3 by key":           {func(s *settings.Settings) { s.WPA3, s.Passphrase = true, strings.Repeat("0", 64) }, settings.ErrWPA3},
		"country in words":      {func(s *settings.Settings) { s.Country = "Germany" }, settings.ErrCountry},
		"small country":         {func(s *settings.Settings) { s.Country = "de" }, settings.ErrCountry},
		"wrong label":           {func(s *settings.Settings) { s.Labels = []kubelet.Label{{Key: "a b"}} }, kubelet.ErrLabels},
		"too many labels":       {func(s *settings.Settings) { s.Labels = append(make([]kubelet.Label, 8), label) }, kubelet.ErrLabels},
		"too many ConfigMaps": {func(s *settings.Settings) {
			s.ConfigMaps = []kubelet.ObjectName{object, object, object, object, object}
		}, kubelet.ErrConfigMaps},
		"too frequent reports": {func(s *settings.Settings) { s.NodeStatusReportFrequency = time.Second }, kubelet.ErrIntervals},
		"negative lease":       {func(s *settings.Settings) { s.LeaseDuration = -time.Second }, kubelet.ErrIntervals},
		"no time":              {func(s *settings.Settings) { s.Provisioned = 0 }, settings.ErrTime},
	} {
		s := least()
		tc.change(&s)
		if err := s.Validate(); err != tc.want {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	for passphrase, ok := range map[string]bool{
		"": true, "12345678": true, " leading and trailing ": true, strings.Repeat("~", 63): true,
		strings.Repeat("0123456789abcdefABCDEF", 3)[:64]: true,
		"1234567": false, strings.Repeat("g", 64): false, strings.Repeat("a", 65): false,
		"umlaut ü": false, "line\nfeed": false, "delete\x7f": false,
	} {
		s := least()
		s.Passphrase = passphrase
		want := settings.ErrPassphrase
		if ok {
			want = nil
		}
		if err := s.Validate(); err != want {
			t.Errorf("%q: %v, want %v", passphrase, err, want)
		}
	}
}

func TestGatewayAddress(t *testing.T) {
	t.Parallel()
	for gateway, want := range map[string]struct {
		host string
		port uint16
	}{
		"192.168.1.10:6080": {"192.168.1.10", 6080},
		"gateway:1":         {"gateway", 1},
		"Gate-way.lab:443":  {"Gate-way.lab", 443},
		"1.0.0.0:65535":     {"1.0.0.0", 65535},
		"223.255.255.255:1": {"223.255.255.255", 1},
		"1.gateway:6080":    {"1.gateway", 6080},
		strings.Repeat("a", 63) + "." + strings.Repeat("b", 36) + ":80": {strings.Repeat("a", 63) + "." + strings.Repeat("b", 36), 80},
	} {
		s := settings.Settings{Gateway: gateway}
		if host, port, ok := s.GatewayAddress(); !ok || host != want.host || port != want.port {
			t.Errorf("%s: %s, %d, %v", gateway, host, port, ok)
		}
	}
	for _, gateway := range []string{
		"", ":", ":6080", "gateway", "gateway:", "gateway:0", "gateway:65536", "gateway:+80", "gateway:80a", "gateway: 80",
		"http://gateway:80", "a b:80", "-a:80", "a-:80", "a..b:80", ".a:80", "a.:80", "[::1]:80", "::1:80", "a_b:80",
		"0.0.0.0:80", "0.1.2.3:80", "127.0.0.1:80", "127.255.255.255:80", "224.0.0.1:80", "239.255.255.255:80", "255.255.255.255:80",
		strings.Repeat("a", 63) + "." + strings.Repeat("b", 37) + ":80",
		"256.1.1.1:80", "1.2.3:80", "1.2.3.4.5:80", "01.2.3.4:80", "a.1:80", "1:80", "1.2.3.999999:80", "a\x00b:80",
		strings.Repeat("a", 64) + ":80", strings.Repeat("a.", 127) + "a:80",
	} {
		s := least()
		s.Gateway = gateway
		if host, port, ok := s.GatewayAddress(); ok {
			t.Errorf("%q is taken for %q, %d", gateway, host, port)
		}
		if err := s.Validate(); err != settings.ErrGateway {
			t.Errorf("%q: %v", gateway, err)
		}
	}
}

// TestKubelet: what is set arrives, under the name that the kubelet has for it.
func TestKubelet(t *testing.T) {
	t.Parallel()
	s := whole()
	c := s.Kubelet()
	got := []any{c.NodeName, c.Host, c.Token, c.ServerToken, c.NoTaint, c.NodeStatusUpdateFrequency, c.NodeStatusReportFrequency, c.LeaseDuration}
	want := []any{s.NodeName, s.Gateway, s.Token, s.ServerToken, true, s.NodeStatusUpdateFrequency, s.NodeStatusReportFrequency, s.LeaseDuration}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("value %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(c.Labels) != 2 || c.Labels[0] != s.Labels[0] || len(c.ConfigMaps) != 2 || c.ConfigMaps[1] != s.ConfigMaps[1] {
		t.Errorf("labels %v, ConfigMaps %v", c.Labels, c.ConfigMaps)
	}
}

// TestErrorsSayNothingSecret: no error repeats what it refuses.
func TestErrorsSayNothingSecret(t *testing.T) {
	t.Parallel()
	s := whole()
	s.Passphrase = "secret\n"
	if err := s.Validate(); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	s = whole()
	s.JoinToken = "secret token"
	if err := s.Validate(); !errors.Is(err, settings.ErrJoinToken) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
