// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import _ "embed"

// KubeletPort is kubelet-port.yaml: the rights that the gateway needs, beside those
// of RBAC, to serve the kubelet ports of boards.
//
//go:embed kubelet-port.yaml
var KubeletPort []byte
