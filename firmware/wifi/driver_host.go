// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package wifi

import (
	"errors"

	"github.com/soypat/cyw43439"
	"github.com/soypat/cyw43439/whd"
)

// Without TinyGo the driver's own methods cannot be reached.

func control(*cyw43439.Device, whd.SDPCMCommand, whd.IoctlInterface, []byte) (int, error) {
	return 0, errors.ErrUnsupported
}

func setVariable(*cyw43439.Device, string, whd.IoctlInterface, []byte) error {
	return errors.ErrUnsupported
}
