// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import _ "embed"

// Admission is admission.yaml: policies that hold what the gateway does as a node to
// what a board may be, even with a token of the gateway that was stolen.
//
//go:embed admission.yaml
var Admission []byte
