// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"strconv"

	"github.com/picolet/picolet/provision"
)

// TCP ports of a gateway, by default.
const (
	linkPort  = provision.LinkPort
	plainPort = provision.PlainPort
	adminPort = 6081 // the gateway's own /healthz, /readyz and /metrics
)

// at is the address host:port; an empty host is any.
func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// gatewayAddress is HOST:PORT of the gateway that a flag names. A port that is
// left out is the default one, of links or of plain HTTP.
func gatewayAddress(named string, links bool) string {
	if _, _, err := net.SplitHostPort(named); err == nil || named == "" {
		return named
	}
	port := plainPort
	if links {
		port = linkPort
	}
	complete := at(named, port)
	if _, _, err := net.SplitHostPort(complete); err != nil {
		return named // neither form: whoever reads it says so
	}
	return complete
}
