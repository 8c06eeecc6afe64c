// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
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
	conns    []*boardConn // the one that has been silent longest first
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

// hold claims node for b, or renews the claim, by a request on conn, which opened
// says is the first of it. If b has too many connections then, the one that has
// been silent longest is given up: evicted, which the caller closes. It is one of
// b's own, for a claim has those of one board only; and a board that lost its power
// leaves connections behind that nobody else would close for a minute. loud is set
// on a refusal that was not given for a while.
func (c *claims) hold(node string, b board, conn *boardConn, opened bool) (evicted *boardConn, loud bool, r *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, loud, r := c.claim(node, b)
	if r != nil {
		return nil, loud, r
	}
	i := slices.Index(k.conns, conn)
	switch {
	case i >= 0:
		k.conns = slices.Delete(k.conns, i, i+1)
	case !opened:
		return nil, false, malformed("gone", "%v", errBoardGone) // was evicted
	case len(k.conns) >= c.maxConns:
		evicted = k.conns[0]
		k.conns = slices.Delete(k.conns, 0, 1)
	}
	k.conns = append(k.conns, conn)
	k.last, k.board.addr = c.now(), b.addr
	return evicted, false, nil
}

// claim is that of b for node, made if it can be.
func (c *claims) claim(node string, b board) (k *claim, loud bool, r *refusal) {
	k = c.byNode[node]
	if k != nil && k.board.id == b.id {
		return k, false, nil
	}
	if k != nil {
		if c.live(k) {
			loud, r = c.conflict(node, k, b)
			return nil, loud, r
		}
		c.drop(node, k)
	}
	if r := c.room(); r != nil {
		return nil, true, r
	}
	k = &claim{board: b}
	c.byNode[node] = k
	c.byID[b.id] = append(c.byID[b.id], node)
	return k, false, nil
}

func (c *claims) live(k *claim) bool {
	return len(k.conns) > 0 || c.now().Sub(k.last) < claimLifetime
}

func (c *claims) conflict(node string, k *claim, b board) (loud bool, r *refusal) {
	loud = k.rival != b.id || c.now().Sub(k.rivalled) >= time.Minute
	if loud {
		k.rival, k.rivalled = b.id, c.now()
	}
	wait := c.freeAfter(k)
	r = refuse(http.StatusConflict, "name_in_use",
		"node name %q is in use by board %s at %s: if that board is off or was replaced, wait %d s; if it runs, give this board another name", node, k.board.id, k.board.addr, wait)
	r.retryAfter = wait
	return loud, r
}

// freeAfter is the time in seconds after which a claim ends whose board is gone.
func (c *claims) freeAfter(k *claim) int {
	lives := claimLifetime
	if len(k.conns) > 0 {
		lives = deadAfter
	}
	return max(1, int(math.Ceil((lives - c.now().Sub(k.last)).Seconds())))
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
	return unavailable("boards", 30, "all %d node names of this gateway are in use; raise --max-boards or start another gateway", c.max)
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

// letGo ends a connection that hold took, unless it was evicted before.
func (c *claims) letGo(node string, conn *boardConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byNode[node]
	if k == nil {
		return
	}
	if i := slices.Index(k.conns, conn); i >= 0 {
		k.conns = slices.Delete(k.conns, i, i+1)
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
