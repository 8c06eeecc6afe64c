#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# github.com/soypat/lneto v0.3.2, package ipv4
#
# A well-informed engineer expects: CalculateHeaderCRC covers the header, whose
# length is in the header (RFC 791, section 3.1: the header checksum is of all
# 16 bit words in the header).
# Seen: it covers the first 20 bytes. Of a packet with IP options, such as the
# Router Alert that each IGMPv2 and IGMPv3 message carries (RFC 2236, section 2),
# the checksum is wrong, and routers and snooping switches drop the packet.
# HeaderLength and Payload of the same type do count the options.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"encoding/binary"
	"fmt"

	"github.com/soypat/lneto/ipv4"
)

// sum is the checksum of RFC 1071.
func sum(p []byte) uint16 {
	s := uint32(0)
	for ; len(p) > 0; p = p[2:] {
		s += uint32(binary.BigEndian.Uint16(p))
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

func main() {
	for _, options := range [][]byte{nil, {0x94, 0x04, 0x00, 0x00}} { // Router Alert
		header := append([]byte{0x40 | byte(20+len(options))/4, 0, 0, byte(20 + len(options)), 0, 1, 0, 0, 1, 2, 0, 0, 192, 0, 2, 1, 224, 0, 0, 251}, options...)
		frame, err := ipv4.NewFrame(header)
		if err != nil {
			panic(err)
		}
		fmt.Printf("header of %d bytes: right %#04x, CalculateHeaderCRC %#04x\n", frame.HeaderLength(), sum(header), frame.CalculateHeaderCRC())
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/soypat/lneto@v0.3.2 >/dev/null 2>&1
got=$(go run -mod=mod .)
want='header of 20 bytes: right 0x16eb, CalculateHeaderCRC 0x16eb
header of 24 bytes: right 0x81e2, CalculateHeaderCRC 0x15e7'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
