// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package net declares the part of the standard library's package net that
// network stacks and drivers in Go name on a board.
//
// It fills a gap of TinyGo as Go modules deliver it: package net is a Git
// submodule of TinyGo's repository, which a module cannot hold, and Go's own
// needs an operating system. A board has none to dial through, so nothing here
// opens a connection: the stack that runs on the board does, and gives it out
// as a Conn. What neither the stack nor the Wi-Fi driver names is not here.
package net

import (
	"errors"
	"net/netip"
	"time"
)

// ErrClosed is the error of an operation on a closed connection.
var ErrClosed = errors.New("use of closed network connection")

// Addr is the address of one end of a connection.
type Addr interface {
	Network() string // "tcp", "udp"
	String() string
}

// Conn is a stream between two addresses.
type Conn interface {
	Read(b []byte) (n int, err error)
	Write(b []byte) (n int, err error)
	Close() error
	LocalAddr() Addr
	RemoteAddr() Addr
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// PacketConn sends and receives packets.
type PacketConn interface {
	ReadFrom(p []byte) (n int, addr Addr, err error)
	WriteTo(p []byte, addr Addr) (n int, err error)
	Close() error
	LocalAddr() Addr
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Listener accepts streams.
type Listener interface {
	Accept() (Conn, error)
	Close() error
	Addr() Addr
}

// IP is an address of 4 or 16 bytes.
type IP []byte

// String returns the address as text, "" if its length is wrong.
func (ip IP) String() string {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ""
	}
	return a.Unmap().String()
}

// HardwareAddr is the address of a network interface.
type HardwareAddr []byte

// String returns the address in hexadecimal, its bytes separated by colons.
func (a HardwareAddr) String() string {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 3*len(a))
	for i, b := range a {
		if i > 0 {
			text = append(text, ':')
		}
		text = append(text, digits[b>>4], digits[b&0xf])
	}
	return string(text)
}

// TCPAddr is the address of one end of a TCP connection.
type TCPAddr struct {
	IP   IP
	Port int
	Zone string // of an IPv6 link-local address
}

// TCPAddrFromAddrPort makes a TCPAddr of an address and port.
func TCPAddrFromAddrPort(a netip.AddrPort) *TCPAddr {
	return &TCPAddr{IP: a.Addr().AsSlice(), Port: int(a.Port()), Zone: a.Addr().Zone()}
}

// Network returns "tcp".
func (a *TCPAddr) Network() string { return "tcp" }

// String returns the address and port as text.
func (a *TCPAddr) String() string { return hostPort(a.IP, a.Zone, a.Port) }

// UDPAddr is the address of one end of an exchange over UDP.
type UDPAddr struct {
	IP   IP
	Port int
	Zone string // of an IPv6 link-local address
}

// UDPAddrFromAddrPort makes a UDPAddr of an address and port.
func UDPAddrFromAddrPort(a netip.AddrPort) *UDPAddr {
	return &UDPAddr{IP: a.Addr().AsSlice(), Port: int(a.Port()), Zone: a.Addr().Zone()}
}

// Network returns "udp".
func (a *UDPAddr) Network() string { return "udp" }

// String returns the address and port as text.
func (a *UDPAddr) String() string { return hostPort(a.IP, a.Zone, a.Port) }

func hostPort(ip IP, zone string, port int) string {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap().WithZone(zone), uint16(port)).String()
}

// Flags are the properties of a network interface.
type Flags uint

// Interface is a network interface of the operating system, of which a board
// has none.
type Interface struct {
	Index        int
	MTU          int
	Name         string
	HardwareAddr HardwareAddr
	Flags        Flags
}

// Addrs returns errors.ErrUnsupported.
func (*Interface) Addrs() ([]Addr, error) { return nil, errors.ErrUnsupported }
