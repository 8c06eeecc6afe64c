#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# tinygo.org/x/drivers v0.37.0, package ina219
#
# A well-informed engineer expects: New, then Configure, then Current gives the
# current in mA, as with the library from which the driver takes its constants.
# Seen: twice the current and twice the power. The default configuration
# (Config32V2A) writes calibration 8192, the value of the 16 V / 400 mA range,
# and divides by 10, the divisor that belongs to calibration 4096. The driver
# has a constant for 4096 and uses it nowhere.
#
# The simulated chip computes what the data sheet says (section 8.5.1):
# current register = shunt register x calibration / 4096,
# power register = current register x bus voltage register / 5000.
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

// chip measures 100 mA through 0.1 ohm (10 mV: shunt register 1000) at 12 V.
type chip struct{ reg [6]uint16 }

func (c *chip) Tx(_ uint16, w, r []byte) error {
	if len(w) == 3 {
		c.reg[w[0]] = uint16(w[1])<<8 | uint16(w[2])
	}
	const shunt, bus = 1000, 12000 / 4
	c.reg[1], c.reg[2] = shunt, bus<<3
	c.reg[4] = uint16(shunt * uint32(c.reg[5]) / 4096)
	c.reg[3] = uint16(uint32(c.reg[4]) * bus / 5000)
	if len(r) == 2 {
		r[0], r[1] = byte(c.reg[w[0]]>>8), byte(c.reg[w[0]])
	}
	return nil
}

func main() {
	d := ina219.New(new(chip))
	err := d.Configure()
	volts, _, current, power, _ := d.Measurements()
	fmt.Printf("configure: %v; %d mV, %.0f mA (true: 100), %.0f mW (true: 1200)\n", err, volts, current, power)
}
GO
go mod init finding >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='configure: <nil>; 12000 mV, 200 mA (true: 100), 2400 mW (true: 1200)'
echo "$got"
[ "$got" = "$want" ] || { echo "changed; it was: $want"; exit 1; }
