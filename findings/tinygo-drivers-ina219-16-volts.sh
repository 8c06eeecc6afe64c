#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# tinygo.org/x/drivers v0.37.0, package ina219
#
# A well-informed engineer expects: in the 32 V range, which is the driver's
# default, BusVoltage is right up to the chip's 26 V.
# Seen: from 16.384 V on it is negative, without an error. The register is
# unsigned (data sheet, section 8.6.3.2: 13 bits, left-aligned, 4 mV each); the
# driver shifts it as a signed number.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"

	"tinygo.org/x/drivers/ina219"
)

type chip struct{ millivolts uint16 }

func (c chip) Tx(_ uint16, w, r []byte) error {
	if len(r) == 2 && w[0] == 2 {
		v := c.millivolts / 4 << 3
		r[0], r[1] = byte(v>>8), byte(v)
	}
	return nil
}

func main() {
	for _, mv := range []uint16{12000, 16380, 16384, 24000} {
		d := ina219.New(chip{mv})
		got, err := d.BusVoltage()
		fmt.Println(mv, got, err)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='12000 12000 <nil>
16380 16380 <nil>
16384 -16384 <nil>
24000 -8768 <nil>'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
