// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package netns

import (
	"errors"
	"net/netip"
)

func runInside() (int, error) { return 0, errors.ErrUnsupported }

func prepare(netip.Addr) error { return errors.ErrUnsupported }
