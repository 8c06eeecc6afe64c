// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/settings"
)

// Field is a setting as text: a flag, or a column of a CSV file.
type Field struct {
	Name   string // of the column, and of the flag behind its dashes
	Usage  string // one line, its value in back quotes
	Secret bool   // never on a command line
	Bool   bool   // true where its name alone is given

	set    func(*settings.Settings, string) error
	blanks bool  // blanks at either end belong to the value
	rule   error // Optional [that of Validate]: what a value breaks that can be read
}

// Fields lists all settings.
func Fields() []Field {
	return []Field{
		{Name: "node-name", Usage: "`NAME` of the node, as pico-1",
			set: func(s *settings.Settings, v string) error { s.NodeName = v; return nil }},
		{Name: "ssid", blanks: true, Usage: "`NAME` of the Wi-Fi network, which may be hidden",
			set: func(s *settings.Settings, v string) error { s.SSID = v; return nil }},
		{Name: "passphrase", Secret: true, blanks: true, Usage: "the passphrase of the Wi-Fi network or, of WPA2, its key as 64 hex digits",
			set: func(s *settings.Settings, v string) error { s.Passphrase = v; return nil }},
		{Name: "wpa3", Bool: true, Usage: "the network accepts WPA3 only (default: WPA2, which WPA2/WPA3 networks accept, too)", set: boolean(func(s *settings.Settings) *bool { return &s.WPA3 })},
		{Name: "country", Usage: "`CODE` of the country, as DE, for its Wi-Fi channels (default: those allowed worldwide)",
			set: func(s *settings.Settings, v string) error { s.Country = v; return nil }},
		{Name: "gateway", Usage: "`HOST[:PORT]` of a picolet gateway; a name or an IPv4 address", set: setGateway},
		{Name: "labels", Usage: "more labels of the node, as `KEY=VALUE,…`; up to 8; a gateway leaves them out: there the Device's labels count", set: setLabels},
		{Name: "configmap", Usage: "ConfigMaps that configure the node, as `NAMESPACE/NAME,…`; up to 4 (default: default/pico-config)", set: setConfigMaps},
		{Name: "no-taint", Bool: true, Usage: "register without the taint that keeps pods away; a gateway puts it in all the same, unless the Device has noTaint", set: boolean(func(s *settings.Settings) *bool { return &s.NoTaint })},
		{Name: "node-status-update-frequency", Usage: "`DURATION` after which status is computed again, at least 10s (default: 10s)", rule: ErrFrequency,
			set: duration(func(s *settings.Settings) *time.Duration { return &s.NodeStatusUpdateFrequency })},
		{Name: "node-status-report-frequency", Usage: "`DURATION` after which an unchanged status is sent, at least 10s (default: 5m)", rule: ErrFrequency,
			set: duration(func(s *settings.Settings) *time.Duration { return &s.NodeStatusReportFrequency })},
		{Name: "lease-duration", Usage: "`DURATION` of the node's lease, 4s to 1h (default: 40s)", rule: ErrLease,
			set: duration(func(s *settings.Settings) *time.Duration { return &s.LeaseDuration })},
		{Name: "server-token", Secret: true, blanks: true, Usage: "the bearer token that clients of the kubelet port must bring",
			set: func(s *settings.Settings, v string) error { s.ServerToken = v; return nil }},
		{Name: "token", Secret: true, blanks: true, Usage: "the bearer token for the API server; it crosses the network in the clear",
			set: func(s *settings.Settings, v string) error { s.Token = v; return nil }},
		{Name: "join-token", Secret: true, blanks: true, Usage: "the token with which the board enrols at the gateway",
			set: func(s *settings.Settings, v string) error { s.JoinToken = v; return nil }},
		{Name: "gateway-key", Usage: "public `KEY` of the gateway: the board reaches it by an encrypted link (default: plain HTTP)",
			set: key(func(s *settings.Settings) *[settings.KeySize]byte { return &s.GatewayKey })},
		{Name: "board-key", Secret: true, blanks: true, Usage: "the board's private key (default: with --gateway-key the board makes one)",
			set: key(func(s *settings.Settings) *[settings.KeySize]byte { return &s.BoardKey })},
	}
}

// Set sets the field, if value is one that a board can take.
func (f Field) Set(s *settings.Settings, value string) error {
	probe := settings.Settings{NodeName: "a", SSID: "a", Passphrase: "passphrase", Gateway: "a:1", Provisioned: 1}
	if err := f.set(&probe, value); err != nil {
		return err
	}
	probe = Complete(probe)
	if err := probe.Validate(); err != nil {
		return cmp.Or(f.rule, error(&invalid{err}))
	}
	return f.set(s, value)
}

// invalid is an error of a field whose name the reader knows already.
type invalid struct{ err error }

func (e *invalid) Unwrap() error { return e.err }

// Error leaves out the package and the Go name of the field.
func (e *invalid) Error() string {
	text := e.err.Error()
	_, text, _ = strings.Cut(text, ": ")
	if name, rest, ok := strings.Cut(text, ": "); ok && !strings.Contains(name, " ") {
		return rest
	}
	return text
}

// Errors of fields whose text has a form of its own.
var (
	ErrLabels     = errors.New("must be KEY=VALUE, separated by commas")
	ErrConfigMaps = errors.New("must be NAMESPACE/NAME, separated by commas")
	ErrBool       = errors.New("must be true or false")
	ErrDuration   = errors.New("must be a duration, as 30s or 5m")
	ErrFrequency  = errors.New("must be at least 10s")
	ErrLease      = errors.New("must be 4s to 1h")
	ErrKey        = errors.New("must be an X25519 key, 44 characters of base64 or 64 hex digits, and not all zeros")
	ErrMissing    = errors.New("is missing")
)

func setLabels(s *settings.Settings, value string) error {
	s.Labels = nil
	for part := range strings.SplitSeq(value, ",") {
		key, val, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return ErrLabels
		}
		s.Labels = append(s.Labels, kubelet.Label{Key: key, Value: val})
	}
	return nil
}

func setConfigMaps(s *settings.Settings, value string) error {
	s.ConfigMaps = nil
	for part := range strings.SplitSeq(value, ",") {
		namespace, name, ok := strings.Cut(strings.TrimSpace(part), "/")
		if !ok {
			return ErrConfigMaps
		}
		s.ConfigMaps = append(s.ConfigMaps, kubelet.ObjectName{Namespace: namespace, Name: name})
	}
	return nil
}

func boolean(of func(*settings.Settings) *bool) func(*settings.Settings, string) error {
	return func(s *settings.Settings, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return ErrBool
		}
		*of(s) = b
		return nil
	}
}

func duration(of func(*settings.Settings) *time.Duration) func(*settings.Settings, string) error {
	return func(s *settings.Settings, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d == 0 {
			return ErrDuration
		}
		*of(s) = d
		return nil
	}
}

func key(of func(*settings.Settings) *[settings.KeySize]byte) func(*settings.Settings, string) error {
	return func(s *settings.Settings, value string) error {
		k, err := ParseKey(value)
		if err == nil {
			*of(s) = k
		}
		return err
	}
}

// ParseKey reads a private or public key: 32 bytes in standard base64 with padding
// (RFC 4648, section 4) or in hexadecimal. The error is ErrKey.
func ParseKey(text string) (k [settings.KeySize]byte, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if len(text) == hex.EncodedLen(settings.KeySize) {
		b, err = hex.DecodeString(text)
	}
	if err != nil || len(b) != settings.KeySize || [settings.KeySize]byte(b) == k {
		return k, ErrKey
	}
	return [settings.KeySize]byte(b), nil
}
