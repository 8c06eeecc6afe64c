// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
)

// loopback is where only this machine can reach.
const loopback = "127.0.0.1"

// ownAddresses are those of this process towards an API server: the pod's, or the
// one from which this machine reaches it. An API server on this machine refuses to
// proxy to loopback, so then it is the machine's own address.
func ownAddresses(apiServer string) ([]netip.Addr, error) {
	if s := os.Getenv(podIP); s != "" {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%s is no IP address: %q", podIP, s)
		}
		return []netip.Addr{a}, nil
	}
	host := apiServer
	if u, err := url.Parse(apiServer); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	a := sourceTowards(host)
	if !a.IsValid() || a.IsLoopback() {
		a = machineAddress()
	}
	return []netip.Addr{a}, nil
}

// machineAddress is an address of this machine that is not loopback, if it has
// one: that by which it reaches other networks, else any.
func machineAddress() netip.Addr {
	// Addresses for documentation (RFC 5737, RFC 3849), which only a default route leads to.
	for _, elsewhere := range []string{"192.0.2.1", "2001:db8::1"} {
		if a := sourceTowards(elsewhere); a.IsValid() && !a.IsLoopback() {
			return a
		}
	}
	for _, a := range interfaceAddresses() {
		if a.IsGlobalUnicast() {
			return a
		}
	}
	return netip.MustParseAddr(loopback)
}

// interfaceAddresses are all addresses of this machine that can be found out.
func interfaceAddresses() (all []netip.Addr) {
	own, _ := net.InterfaceAddrs()
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			all = append(all, ip.Unmap())
		}
	}
	return all
}

// sourceTowards is the address of this machine from which packets to host come;
// invalid if there is no way to it. Nothing is sent.
func sourceTowards(host string) netip.Addr {
	c, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if a.IsLinkLocalUnicast() { // means nothing to others, and the API server proxies to none
		return netip.Addr{}
	}
	return a
}

// onlyHere is the address to listen on: the only one, if it is this machine's
// own; else empty, for all. An address may be that of a router before it.
func onlyHere(addresses []netip.Addr) string {
	if len(addresses) != 1 || !isHere(addresses[0]) {
		return ""
	}
	return addresses[0].String()
}

func isHere(a netip.Addr) bool {
	return a.IsLoopback() || slices.Contains(interfaceAddresses(), a.Unmap())
}
