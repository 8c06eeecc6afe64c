// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the end-to-end tests: virtual boards with their kubelets, the
// gateway and kubectl, against a real Kubernetes control plane, over TCP on
// loopback.
//
// It holds no code that anything else uses, and no test that a fake could pass:
// those are beside the packages they test.
package e2e
