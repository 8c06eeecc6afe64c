#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# tinygo.org/x/drivers v0.37.0, packages mcp9808 and adt7410
#
# A well-informed engineer expects: thermometers rated down to -40 and -55 C
# read below zero.
# Seen: at -10 C, MCP9808 gives 246 and ADT7410 gives 502, both without an
# error. The first computes the negative value and overwrites it; the second
# takes the two's complement register for unsigned.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"

	"tinygo.org/x/drivers/adt7410"
	"tinygo.org/x/drivers/mcp9808"
)

// register is the one that a chip answers with.
type register uint16

func (v register) Tx(_ uint16, _, r []byte) error {
	if len(r) > 0 {
		r[0], r[1] = byte(v>>8), byte(v)
	}
	return nil
}

func main() {
	// MCP9808, section 5.2.3: sign in bit 12, 1/16 C, two's complement of 12 bits.
	m := mcp9808.New(register(0x1F60))
	celsius, err := m.ReadTemperature()
	fmt.Println("mcp9808 at -10 C:", celsius, err)
	// ADT7410, 13 bits: 1/16 C in bits 15 to 3.
	a := adt7410.New(register(0xFB00))
	milli, err := a.ReadTemperature()
	fmt.Println("adt7410 at -10 C:", milli, err, a.ReadTempC())
}
GO
go mod init finding >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='mcp9808 at -10 C: 246 <nil>
adt7410 at -10 C: 502000 <nil> 502'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
