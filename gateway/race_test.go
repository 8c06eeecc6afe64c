// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package gateway

// raced tells whether the race detector is built in.
const raced = true
