// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package enrolment

// processName is empty where processes have no names over restarts.
func processName() string { return "" }

// isDead knows of no process.
func isDead(string) bool { return false }
