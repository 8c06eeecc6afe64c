// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import _ "embed"

// PlainImpersonation is plain-impersonation.yaml: the rights by which the gateway
// acts for nodes where the API server has no constrained impersonation. Its
// comment says what they are good for in the wrong hands.
//
//go:embed plain-impersonation.yaml
var PlainImpersonation []byte

// Certificates is certificates.yaml: the rights by which the gateway gets a client
// certificate for each node, where it may not impersonate.
//
//go:embed certificates.yaml
var Certificates []byte
