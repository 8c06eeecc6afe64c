// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import _ "embed"

// Devices is picolet.dev_devices.yaml: the CustomResourceDefinition of Devices,
// generated from package api/v1alpha1.
//
//go:embed picolet.dev_devices.yaml
var Devices []byte

// Enrolment is enrolment.yaml: the rights that the gateway needs, beside those of
// RBAC, to enrol boards.
//
//go:embed enrolment.yaml
var Enrolment []byte
