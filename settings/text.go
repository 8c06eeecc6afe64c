// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"strconv"
	"time"
)

const nameWidth = 22

// String shows the settings as lines of names and values: of secrets only
// whether they are set.
func (s Settings) String() string {
	text, _ := s.MarshalText() // never fails
	return string(text)
}

// GoString keeps secrets out of %#v.
func (s Settings) GoString() string { return s.String() }

// MarshalText keeps secrets out of JSON and of slog. There is no way back.
func (s Settings) MarshalText() ([]byte, error) {
	b := appendLine(nil, "Node name", s.NodeName)
	b = appendLine(b, "Wi-Fi network", printable(s.SSID))
	b = appendLine(b, "Wi-Fi passphrase", orElse(s.Passphrase != "", "set", "none, an open network"))
	if s.WPA3 {
		b = appendLine(b, "Wi-Fi security", "WPA3 only")
	}
	b = appendLine(b, "Wi-Fi country", orElse(s.Country != "", s.Country, "worldwide"))
	b = appendLine(b, "Gateway", s.Gateway)
	b = appendLine(b, "Gateway key", keyText(s.GatewayKey))
	if s.NextKey != [KeySize]byte{} {
		b = appendLine(b, "Next gateway key", keyText(s.NextKey))
	}
	b = appendLine(b, "Board key", isSet(s.BoardKey != [KeySize]byte{}))
	b = appendLine(b, "Join token", isSet(s.JoinToken != ""))
	b = appendLine(b, "API token", isSet(s.Token != ""))
	b = appendLine(b, "Kubelet port token", isSet(s.ServerToken != ""))
	b = appendLine(b, "Labels", s.labelText())
	b = appendLine(b, "ConfigMaps", s.configMapText())
	b = appendLine(b, "Taint", orElse(s.NoTaint, "none", "default"))
	b = appendLine(b, "Status update", durationText(s.NodeStatusUpdateFrequency))
	b = appendLine(b, "Status report", durationText(s.NodeStatusReportFrequency))
	b = appendLine(b, "Lease", durationText(s.LeaseDuration))
	return appendLine(b, "Provisioned", time.Unix(s.Provisioned, 0).UTC().Format(time.RFC3339)), nil
}

func appendLine(b []byte, name, value string) []byte {
	b = append(b, name...)
	for i := len(name); i < nameWidth; i++ {
		b = append(b, ' ')
	}
	return append(append(b, value...), '\n')
}

// printable quotes what could move the cursor of a terminal.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted[1:len(quoted)-1] != s {
		return quoted
	}
	return s
}

func orElse(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func isSet(condition bool) string { return orElse(condition, "set", "not set") }

func durationText(d time.Duration) string { return orElse(d != 0, d.String(), "default") }

func keyText(key [KeySize]byte) string {
	if key == [KeySize]byte{} {
		return "not set"
	}
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 2*KeySize)
	for _, c := range key {
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}

func (s *Settings) labelText() string {
	text := ""
	for i, l := range s.Labels {
		text += orElse(i > 0, ",", "") + l.Key + "=" + l.Value
	}
	return orElse(text != "", text, "none")
}

func (s *Settings) configMapText() string {
	text := ""
	for i, m := range s.ConfigMaps {
		text += orElse(i > 0, ",", "") + m.Namespace + "/" + m.Name
	}
	return orElse(text != "", text, "default")
}
