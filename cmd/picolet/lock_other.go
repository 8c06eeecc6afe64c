// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "errors"

// lockDir refuses: the control plane runs on Unix systems only.
func lockDir(string) (unlock func(), err error) {
	return nil, errors.New("\"picolet up\" needs Linux or macOS: use \"picolet node\" with a cluster elsewhere")
}
