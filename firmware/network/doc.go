// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package network joins one kubelet to an Ethernet: DHCP for the board's
// address, ARP and DNS for the way to the gateway, TCP for the kubelet's
// streams and its port, mDNS and its group's IGMP for the board's name. It tells how far the way
// reaches, and finds it again when a part of it is lost or changes.
//
// The caller brings frames and the time since boot, and takes frames to send.
// The package has no goroutine, waits for nothing, reads no clock, and claims
// all its memory in New. It keeps no copy of what a stream sends or receives:
// see package tcp below it. Formats of frames are lneto's.
//
// It refuses what a board with one gateway does not need: IPv6, IP fragments
// and options, routing, multicast beyond mDNS, UDP for others, and more
// connections than the kubelet serves. It drives no hardware.
package network
