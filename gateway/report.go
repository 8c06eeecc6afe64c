// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// reportHeader in an answer asks the board's kubelet for its whole status at once.
const reportHeader = "Picolet-Report"

// The node controller, or another writer, may hold a node for Unknown although its
// heartbeats arrive: those say nothing but that the board is there. Kubelets find
// that out by reading their Node each 10 s, of 3 KiB and more, which is much for a
// board. The gateway looks for them: at each status that the API server answers
// with, and, as the node, along with a renewal of its lease.
const (
	lookEach     = 40 * time.Second // for each board's connection; the duration of a Lease
	lookPatience = time.Second      // beyond the renewal's own answer
)

// A look is the question how a node stands. A nil *look asks nothing.
type look struct {
	answer chan *answer // of the Node; closed without one if it failed
	status bool         // the answer to the request itself shows it
}

// look asks how c's node stands, if c is a heartbeat and it is time. ctx ends with
// the request.
func (g *Gateway) look(ctx context.Context, conn *boardConn, c *call) *look {
	now := time.Now()
	switch {
	case c.op.heartbeat && c.op.resource == "nodes/status":
		return &look{status: true}
	case !c.op.heartbeat || now.Before(conn.lookAt) || g.upstreamIsBusy():
		return nil
	}
	conn.lookAt = now.Add(lookEach)
	l := &look{answer: make(chan *answer, 1)}
	go func() {
		defer close(l.answer)
		a, err := g.upstream.do(ctx, readNode(c.node))
		if err == nil {
			conn.sawNode(a)
			l.answer <- a
		}
	}()
	return l
}

// upstreamIsBusy leaves half of the room at the API server to what boards ask for.
func (g *Gateway) upstreamIsBusy() bool {
	const own = 2 // the renewal and the look
	return g.upstream.places.inUse()+own > g.config.MaxInFlight/2
}

// finds reports whether the node, or the answer to a status, is Unknown.
func (l *look) finds(to *answer) bool {
	switch {
	case l == nil || to.code/100 != 2:
		return false
	case l.status:
		return isUnknown(to)
	}
	patience := time.NewTimer(lookPatience)
	defer patience.Stop()
	select {
	case a := <-l.answer:
		return a != nil && isUnknown(a)
	case <-patience.C:
		return false
	}
}

// isUnknown reports whether an answer is a Node that another writer has marked
// Unknown, which no kubelet reports, or whose conditions it has replaced by others.
func isUnknown(a *answer) bool {
	var node struct {
		Status struct {
			Conditions []struct {
				Type   corev1.NodeConditionType `json:"type"`
				Status corev1.ConditionStatus   `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if a.code != http.StatusOK || json.Unmarshal(a.body, &node) != nil {
		return false
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionUnknown
		}
	}
	return len(node.Status.Conditions) > 0
}
