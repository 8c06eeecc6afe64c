// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package settings holds what a board is told once, when it is provisioned: who
// it is, which Wi-Fi network to join and where the gateway is. It is stored in
// the last two sectors of flash and read by the firmware at boot.
//
// It prints no secret, in whatever way it is printed, and does not encrypt
// them: who holds the board can read its flash.
package settings

import (
	"errors"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// MaxGatewayName is the longest name that a board looks up, in bytes: its DNS
// messages are of that size.
const MaxGatewayName = 100

// KeySize is the length of an X25519 key in bytes.
const KeySize = 32

// Settings are those of one board.
type Settings struct {
	NodeName   string // Required: a DNS-1123 subdomain, at most 63 bytes
	SSID       string // Required: name of the Wi-Fi network, 1 to 32 bytes
	Passphrase string // Optional [an open network]: 8 to 63 printable ASCII characters, or the key as 64 hex digits
	WPA3       bool   // Optional [false, WPA2]: join by SAE, for a network that accepts WPA3 only; needs a passphrase
	Country    string // Optional [worldwide]: ISO 3166-1 alpha-2 code, which decides on Wi-Fi channels
	Gateway    string // Required: host:port, with a DNS name of at most MaxGatewayName bytes or the IPv4 address of one host

	Token       string // Optional [none]: bearer token for the API server
	ServerToken string // Optional [none]: bearer token that clients of the kubelet port must bring; visible ASCII, at most 256 bytes

	BoardKey   [KeySize]byte // Optional [zero, none]: the board's private X25519 key
	GatewayKey [KeySize]byte // Optional [zero, none]: the gateway's public X25519 key
	NextKey    [KeySize]byte // Optional [zero, none]: a newer one, which the board has learned from the gateway
	JoinToken  string        // Optional [none]: visible ASCII, at most 128 bytes; lets the board enrol

	Labels     []kubelet.Label      // Optional [none]: at most kubelet.MaxLabels
	ConfigMaps []kubelet.ObjectName // Optional [the kubelet's]: at most kubelet.MaxConfigMaps
	NoTaint    bool                 // Optional [false]: register without the taint that keeps pods away; a gateway puts it in all the same

	NodeStatusUpdateFrequency time.Duration // Optional [the kubelet's]
	NodeStatusReportFrequency time.Duration // Optional [the kubelet's]
	LeaseDuration             time.Duration // Optional [the kubelet's]

	Provisioned int64 // Unix seconds; the later of two settings counts
}

// Errors of Validate, beside those of kubelet.Config. Each names the field and
// what it takes, and never its content.
var (
	ErrSSID       = errors.New("settings: SSID: must be 1 to 32 bytes, the name of the Wi-Fi network")
	ErrPassphrase = errors.New("settings: Passphrase: must be 8 to 63 printable ASCII characters, or 64 hex digits; empty for an open network")
	// ErrWPA3: SAE proves a passphrase, not a key that was made of it (IEEE 802.11-2020, 12.4).
	ErrWPA3      = errors.New("settings: WPA3: needs a passphrase of 8 to 63 characters, not a key of 64 hex digits")
	ErrCountry   = errors.New("settings: Country: must be two capital letters as in ISO 3166-1, as DE; empty for worldwide")
	ErrGateway   = errors.New("settings: Gateway: must be host:port with a DNS name of up to 100 bytes or the IPv4 address of one host, for example 192.168.1.10:6080")
	ErrJoinToken = errors.New("settings: JoinToken: must be visible ASCII, at most 128 bytes")
	// ErrServerToken: the kubelet port takes no other.
	ErrServerToken = errors.New("settings: ServerToken: must be visible ASCII, at most 256 bytes")
	ErrTime        = errors.New("settings: Provisioned: must be a time after 1970")
)

// Validate tells the first thing that is wrong.
func (s *Settings) Validate() error {
	_, _, gatewayOK := s.GatewayAddress()
	switch {
	case s.SSID == "" || len(s.SSID) > 32:
		return ErrSSID
	case !isPassphrase(s.Passphrase):
		return ErrPassphrase
	case s.WPA3 && (s.Passphrase == "" || len(s.Passphrase) == 2*KeySize):
		return ErrWPA3
	case s.Country != "" && !isCountry(s.Country):
		return ErrCountry
	case !gatewayOK:
		return ErrGateway
	case len(s.JoinToken) > 128 || !isASCII(s.JoinToken, '!'):
		return ErrJoinToken
	case len(s.ServerToken) > 256 || !isASCII(s.ServerToken, '!'):
		return ErrServerToken
	case s.Provisioned <= 0:
		return ErrTime
	}
	c := s.Kubelet()
	c.Version, c.Seed = "v1", 1
	c.Board = board.Board{Facts: board.Facts{Model: "settings", ID: "settings"}, Sensors: noSensors{}}
	return c.Validate()
}

// noSensors stands for those of the board, which are not here.
type noSensors struct{}

func (noSensors) Read(time.Duration, *board.Readings) {}

// Kubelet is the part of a kubelet's configuration that comes from settings:
// Version, Board and Seed are missing.
func (s *Settings) Kubelet() kubelet.Config {
	return kubelet.Config{
		NodeName: s.NodeName, Host: s.Gateway, Token: s.Token, ServerToken: s.ServerToken,
		Labels: s.Labels, ConfigMaps: s.ConfigMaps, NoTaint: s.NoTaint,
		NodeStatusUpdateFrequency: s.NodeStatusUpdateFrequency,
		NodeStatusReportFrequency: s.NodeStatusReportFrequency,
		LeaseDuration:             s.LeaseDuration,
	}
}

// GatewayAddress takes Gateway apart; false if it is not host:port.
func (s *Settings) GatewayAddress() (host string, port uint16, ok bool) {
	colon := len(s.Gateway) - 1
	for colon >= 0 && s.Gateway[colon] != ':' {
		colon--
	}
	if colon < 0 {
		return "", 0, false
	}
	host, digits := s.Gateway[:colon], s.Gateway[colon+1:]
	n := number(digits)
	if n < 1 || n > 65535 || !isHost(host) {
		return "", 0, false
	}
	return host, uint16(n), true
}

// isHost reports whether s is a DNS name or the IPv4 address of one host. What
// ends with a number is no name (RFC 1123, 2.1).
func isHost(s string) bool {
	if len(s) > MaxGatewayName {
		return false
	}
	labels, octets := 0, 0
	first, _, _ := cut(s, '.')
	for {
		label, rest, more := cut(s, '.')
		if !isHostLabel(label) {
			return false
		}
		labels++
		if isOctet(label) {
			octets++
		}
		if !more {
			return !isDigits(label) || labels == 4 && octets == 4 && isUnicast(number(first))
		}
		s = rest
	}
}

// isHostLabel takes capital letters, which DNS does not tell apart.
func isHostLabel(s string) bool {
	for i := range len(s) {
		edge := i == 0 || i == len(s)-1
		if c := s[i]; !isDigit(c) && !isLetter(c) && (c != '-' || edge) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// isUnicast reports whether an address that begins with an octet can be that of
// one host, seen from another (RFC 1122, 3.2.1.3).
func isUnicast(first int) bool { return first != 0 && first != 127 && first < 224 }

// isOctet tells whether s is 0 to 255 without leading zeros, which some take
// for octal.
func isOctet(s string) bool {
	n := number(s)
	return n >= 0 && n <= 255 && (s[0] != '0' || len(s) == 1)
}

// number is s as a number, -1 if it is none of 1 to 5 digits. Unlike
// strconv.ParseUint it has no error text, which takes 4 KB of flash.
func number(s string) int {
	if !isDigits(s) || len(s) > 5 {
		return -1
	}
	n := 0
	for i := range len(s) {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// isPassphrase follows IEEE 802.11-2020, J.4: 8 to 63 characters of 32 to 126,
// or the key itself.
func isPassphrase(s string) bool {
	if len(s) == 2*KeySize {
		return isHex(s)
	}
	return s == "" || len(s) >= 8 && len(s) < 2*KeySize && isASCII(s, ' ')
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; !isDigit(s[i]) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isASCII tells whether all of s is from lowest to '~'.
func isASCII(s string, lowest byte) bool {
	for i := range len(s) {
		if s[i] < lowest || s[i] > '~' {
			return false
		}
	}
	return true
}

func isCountry(s string) bool { return len(s) == 2 && isCapital(s[0]) && isCapital(s[1]) }

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool   { return c >= '0' && c <= '9' }
func isCapital(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLetter(c byte) bool  { return isCapital(c) || c >= 'a' && c <= 'z' }
