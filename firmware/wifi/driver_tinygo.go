// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build tinygo

package wifi

import (
	_ "unsafe" // for go:linkname

	"github.com/soypat/cyw43439"
	"github.com/soypat/cyw43439/whd"
)

// Two methods of the driver that it does not export. The names are those that
// TinyGo's compiler gives methods.

// control sends a control request and copies the answer.
//
//go:linkname control (*github.com/soypat/cyw43439.Device).doIoctlGet
func control(d *cyw43439.Device, command whd.SDPCMCommand, iface whd.IoctlInterface, data []byte) (int, error)

// setVariable sets a named variable of the chip.
//
//go:linkname setVariable (*github.com/soypat/cyw43439.Device).set_iovar_n
func setVariable(d *cyw43439.Device, name string, iface whd.IoctlInterface, value []byte) error
