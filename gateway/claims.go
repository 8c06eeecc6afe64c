// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// claimLifetime is how long a silent board keeps its node's name: the duration
// of a node's Lease (pkg/kubelet/apis/config: nodeLeaseDurationSeconds 40).
const claimLifetime = 40 * time.Second

// A board is who speaks on a connection, as far as a trusted network tells.
type board struct {
	id   string // header Picolet-Board, else the IP address
	addr string // IP address
}

// claims says which board holds which node's name. A claim lives while its
// board has a connection open, and claimLifetime after its last request.
type claims struct {
	max      int // names
	maxConns int // connections of one name
	now      func() time.Time

	mu     sync.Mutex
	byNode map[string]*claim
	byID   map[string][]string // board id to the nodes it holds
}

type claim struct {
	board    board
	conns    int
	last     time.Time
	rival    string // the board refused last, logged once
	rivalled time.Time
}

func newClaims(c Config) *claims {
	return &claims{
		max: c.MaxBoards, maxConns: c.MaxConnectionsPerBoard, now: time.Now,
		byNode: make(map[string]*claim), byID: make(map[string][]string),
	}
}

// hold claims node for b, or renews the claim, and counts a connection to it if
// opened. loud is set on a refusal that was not given for a while.
func (c *claims) hold(node string, b board, opened bool) (loud bool, r *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byNode[node]
	if k != nil && k.board.id != b.id {
		if c.live(k) {
			return c.conflict(node, k, b)
		}
		c.drop(node, k)
		k = nil
	}
	if k == nil {
		if r := c.room(); r != nil {
			return true, r
		}
		k = &claim{board: b}
		c.byNode[node] = k
		c.byID[b.id] = append(c.byID[b.id], node)
	}
	if opened && k.conns >= c.maxConns {
		r := refuse(http.StatusTooManyRequests, "connections",
			"board %s has %d connections open for node %q; close one first", b.id, k.conns, node)
		r.retryAfter, r.hangUp = 10, true
		return true, r
	}
	if opened {
		k.conns++
	}
	k.last, k.board.addr = c.now(), b.addr
	return false, nil
}

func (c *claims) live(k *claim) bool {
	return k.conns > 0 || c.now().Sub(k.last) < claimLifetime
}

func (c *claims) conflict(node string, k *claim, b board) (loud bool, r *refusal) {
	loud = k.rival != b.id || c.now().Sub(k.rivalled) >= time.Minute
	if loud {
		k.rival, k.rivalled = b.id, c.now()
	}
	return loud, refuse(http.StatusConflict, "name_in_use",
		"node name %q is in use by board %s at %s; give this board another name", node, k.board.id, k.board.addr)
}

// room makes sure that one more name fits.
func (c *claims) room() *refusal {
	if len(c.byNode) < c.max {
		return nil
	}
	for node, k := range c.byNode {
		if !c.live(k) {
			c.drop(node, k)
		}
	}
	if len(c.byNode) < c.max {
		return nil
	}
	return unavailable("boards", 30, "all %d node names of this gateway are in use; raise MaxBoards or start another gateway", c.max)
}

func (c *claims) drop(node string, k *claim) {
	delete(c.byNode, node)
	nodes := slices.DeleteFunc(c.byID[k.board.id], func(n string) bool { return n == node })
	if len(nodes) == 0 {
		delete(c.byID, k.board.id)
		return
	}
	c.byID[k.board.id] = nodes
}

// letGo ends a connection that was counted by hold. The claim was never
// dropped in between: it has had a connection.
func (c *claims) letGo(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.byNode[node]; k != nil {
		k.conns--
	}
}

// only returns the one node that the board with this id holds; false if it
// holds none or several.
func (c *claims) only(id string) (node string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := c.byID[id]
	if len(nodes) != 1 || !c.live(c.byNode[nodes[0]]) {
		return "", false
	}
	return nodes[0], true
}

// count is the number of live claims.
func (c *claims) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.byNode {
		if c.live(k) {
			n++
		}
	}
	return n
}
