// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build tinygo

package http1_test

import (
	"testing"

	"github.com/picolet/picolet/kubelet/http1"
)

// TinyGo has no net/http to compare with: there, what the tests say themselves
// must do.

func referenceReadsRequest(*testing.T, string, *http1.RequestHead) {}

func referenceReadsResponse(*testing.T, string, int, string) {}
