// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// checkMachine refuses a status of a linked board that has nodeInfo, if the Node has
// become a machine's: it would overwrite by what one can tell that.
func (g *Gateway) checkMachine(ctx context.Context, conn *boardConn, c *call) *refusal {
	p, ok := c.body.(*statusPatch)
	if !ok || conn.link == nil || p.Status.NodeInfo == nil {
		return nil
	}
	a, err := g.upstream.do(ctx, readNode(c.node))
	if err != nil {
		return g.upstreamFailure(conn, c, err)
	}
	version := runtimeOf(a)
	if version == "" || strings.HasPrefix(version, runtimePrefix) {
		return nil
	}
	conn.sawNode(a)
	return refuse(http.StatusForbidden, "machine", "node %q is a machine's and not this board's: kubectl pico approve DEVICE --node-name NAME gives the board another name", c.node)
}

// readNode asks for a Node as that node. Version 0 is answered from the API server's
// cache, as kubelets have it (pkg/kubelet/kubelet_node_status.go, tryUpdateNodeStatus).
func readNode(node string) request {
	return request{method: http.MethodGet, path: "/api/v1/nodes/" + node, query: "resourceVersion=0", node: node}
}

// sawNode reports to admission what runs the Node of an answer: a machine's kubelet may
// have registered under the name of a linked board.
func (c *boardConn) sawNode(a *answer) {
	if version := runtimeOf(a); version != "" && c.link != nil && c.link.admitted.Runtime != nil {
		c.link.admitted.Runtime(version)
	}
}

// runtimeOf is the container runtime version of a Node; "" where an answer shows none.
func runtimeOf(a *answer) string {
	var node struct {
		Status struct {
			NodeInfo struct {
				ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
			} `json:"nodeInfo"`
		} `json:"status"`
	}
	if a.code != http.StatusOK || json.Unmarshal(a.body, &node) != nil {
		return ""
	}
	return node.Status.NodeInfo.ContainerRuntimeVersion
}
