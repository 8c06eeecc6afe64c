// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/picolet/picolet/settings"
)

// TCP ports of a gateway, by default.
const (
	LinkPort  = 6079 // encrypted links of boards
	PlainPort = 6080 // plain HTTP of boards, as the firmware that picolet follows expects
)

// Errors of a gateway that is well-formed and that no board can reach.
var (
	ErrLoopback = errors.New("is a loopback address, at which no board reaches a gateway: give this machine's own, for example 192.168.1.10, " +
		"and let the gateway listen there, for picolet up by --gateway-listen 0.0.0.0:6079")
	ErrUnspecified = errors.New("is an address to listen on: give the one at which boards reach the gateway, for example 192.168.1.10")
	ErrNotUnicast  = errors.New("is not the address of a single host: give that of the gateway, for example 192.168.1.10")
	ErrIPv6        = errors.New("is an IPv6 address, and boards speak IPv4: give an IPv4 address, or a name that has one")
	ErrLongName    = errors.New("the name is longer than the 100 bytes that a board can look up: give a shorter one, or an IPv4 address")
)

// Complete fills in what depends on several fields: the port of Gateway, where
// that names a host alone.
func Complete(s settings.Settings) settings.Settings {
	if s.Gateway == "" || strings.Contains(s.Gateway, ":") {
		return s
	}
	port := LinkPort
	if s.GatewayKey == [settings.KeySize]byte{} {
		port = PlainPort
	}
	s.Gateway += ":" + strconv.Itoa(port)
	return s
}

// setGateway refuses by the reason where there is one; Validate knows the rest.
func setGateway(s *settings.Settings, value string) error {
	s.Gateway = value
	host := value
	if before, port, ok := strings.Cut(value, ":"); ok && !strings.Contains(port, ":") {
		host = before
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return checkAddress(a)
	}
	host = strings.ToLower(host)
	switch {
	case host == "localhost" || strings.HasSuffix(host, ".localhost"): // RFC 6761, 6.3
		return ErrLoopback
	case len(host) > settings.MaxGatewayName:
		return ErrLongName
	}
	return nil
}

func checkAddress(a netip.Addr) error {
	switch {
	case a.IsLoopback():
		return ErrLoopback
	case a.IsUnspecified():
		return ErrUnspecified
	case !a.Is4():
		return ErrIPv6
	case a.As4()[0] == 0 || a.As4()[0] >= 224: // RFC 1122, 3.2.1.3; RFC 5771; RFC 1112, 4
		return ErrNotUnicast
	}
	return nil
}
