// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/kubeletport"
)

// visit is a board's stay with this replica: from its admission until it goes, or
// comes anew.
type visit struct {
	ctx     context.Context // ends with it
	node    string
	version string     // of the firmware
	address netip.Addr // of the node's kubelet port
	pods    *boundPods // bound to the node

	sawRuntime func(version string) // reports what runs the Node; see enrolment.Hold
}

// ports opens the kubelet ports of nodes when their boards come, and closes them
// when they go.
type ports struct {
	server *kubeletport.Server
	nodes  enrolment.Nodes

	mu     sync.Mutex
	owners map[string]*visit // by node: whose the port is
}

func newPorts(s *kubeletport.Server, n enrolment.Nodes) *ports {
	return &ports{server: s, nodes: n, owners: make(map[string]*visit)}
}

// lookupTime bounds the look at a Node while its board waits.
const lookupTime = 2 * time.Second

// open opens the port of a node and returns its number: the one that the Node has
// had, if it can be. A port that an earlier visit left behind is taken over.
func (p *ports) open(ctx context.Context, v *visit) (int, error) {
	n := kubeletport.Node{Name: v.node, Version: v.version}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	// Without an answer the port's number is a new one, at worst.
	if object, err := p.nodes.Node(ctx, v.node); err == nil && object != nil {
		n.UID, n.Port = object.UID, int(object.Status.DaemonEndpoints.KubeletEndpoint.Port)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	number, err := p.server.Add(n)
	if err == nil {
		p.owners[v.node] = v
	}
	return number, err
}

// close closes the port that open opened, unless it is that of a later visit.
func (p *ports) close(v *visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners[v.node] == v {
		delete(p.owners, v.node)
		p.server.Remove(v.node)
	}
}

func (p *ports) run(ctx context.Context) error {
	p.server.Run(ctx)
	return nil
}
