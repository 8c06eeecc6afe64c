// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
)

// sawNode tells admission what runs the Node of an answer: a machine's kubelet may
// have registered under the name of a linked board.
func (c *boardConn) sawNode(a *answer) {
	var node struct {
		Status struct {
			NodeInfo struct {
				ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
			} `json:"nodeInfo"`
		} `json:"status"`
	}
	if c.link == nil || c.link.admitted.Runtime == nil || a.code != http.StatusOK || json.Unmarshal(a.body, &node) != nil {
		return
	}
	c.link.admitted.Runtime(node.Status.NodeInfo.ContainerRuntimeVersion)
}
