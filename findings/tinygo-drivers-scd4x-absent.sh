#!/usr/bin/env bash
# Copyright The picolet Authors.
# SPDX-License-Identifier: Apache-2.0
#
# tinygo.org/x/drivers v0.37.0, package scd4x
#
# A well-informed engineer expects: Connected is false where no chip
# acknowledges its address, as in the other drivers of this module.
# Seen: Connected is always true, and ReadTempC, which returns no error, gives a
# plausible 0 C for a sensor that is not there.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"

	"tinygo.org/x/drivers/scd4x"
)

// emptyBus has no chip: each address is left without an acknowledgment.
type emptyBus struct{}

func (emptyBus) Tx(uint16, []byte, []byte) error { return errors.New("no acknowledgment") }

func main() {
	d := scd4x.New(emptyBus{})
	fmt.Println("configure:", d.Configure())
	fmt.Println("connected:", d.Connected(), "temperature:", d.ReadTempC())
}
GO
go mod init finding >/dev/null 2>&1
go get tinygo.org/x/drivers@v0.37.0 >/dev/null 2>&1
got=$(go run .)
want='configure: no acknowledgment
connected: true temperature: 0'
echo "$got"
[ "$got" = "$want" ] || { printf 'changed; it was:\n%s\n' "$want"; exit 1; }
