#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# tinygo.org/x/drivers v0.37.0, package bme280
#
# A well-informed engineer expects: a reading is a measurement, or an error.
# Seen, both without an error:
# 1. A read right after Configure gives what the chip's data registers hold
#    after the reset that Configure itself sends (0x80000, data sheet, section
#    5.3): 26.46 C with the calibration below, whatever the temperature is.
#    Configure neither waits nor looks at the status register.
# 2. A chip that was absent during Configure, and is there later, reads exactly
#    0 C for ever: Configure returns no error, and no calibration was read.
#
# The calibration is the example that Bosch gives for this family of chips in
# the data sheet of the BMP280, section 3.12 (T1 27504, T2 26435, T3 -1000).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"

	"tinygo.org/x/drivers/bme280"
)

// chip is one at power-on: no conversion is done yet.
type chip struct{ absent bool }

func (c *chip) Tx(_ uint16, w, r []byte) error {
	if c.absent {
		return errors.New("no acknowledgment")
	}
	if len(r) == 0 {
		return nil
	}
	switch w[0] {
	case 0x88:
		copy(r, []byte{0x70, 0x6B, 0x43, 0x67, 0x18, 0xFC})
	case 0xF7:
		copy(r, []byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0})
	}
	return nil
}

func main() {
	fresh := &chip{}
	d := bme280.New(fresh)
	d.Configure()
	t, err := d.ReadTemperature()
	fmt.Println("before the first conversion:", t, err)

	late := &chip{absent: true}
	d = bme280.New(late)
	d.Configure()
	late.absent = false
	t, err = d.ReadTemperature()
	fmt.Println("absent during Configure:", t, err)
}
GO
go mod init finding >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='before the first conversion: 26460 <nil>
absent during Configure: 0 <nil>'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
