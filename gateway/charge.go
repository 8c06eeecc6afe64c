// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// maxBodyMemory bounds the bodies of requests that are held at one time, without
// those of Leases, of which each board has one of 2 KiB.
const maxBodyMemory = 16 << 20 // bytes

// A charge pays for one request out of its board's budget, as early as is known whose
// it is: on a new connection of plain HTTP, when its node has been identified.
type charge struct {
	gateway *Gateway
	conn    *boardConn
	op      *operation
	budget  *budget // nil while the board is not known
	entered bool
	held    int64 // bytes of body memory
}

func (g *Gateway) newCharge(conn *boardConn) *charge {
	c := &charge{gateway: g, conn: conn}
	if p := conn.payer(); p.node != "" || conn.link != nil {
		c.budget = g.budgets.of(p)
	}
	return c
}

func (c *boardConn) payer() payer {
	if c.link != nil {
		return payer{key: c.link.peer.Key}
	}
	node, _ := c.bound()
	return payer{node: node, addr: c.host()}
}

// request pays for a request as such.
func (c *charge) request() *refusal { return c.spend(requestRate, 1) }

// operation pays for what the request asks for, of which size bytes are its body. The
// caller calls release when it has been answered.
func (c *charge) operation(op *operation, size int64) *refusal {
	c.op = op
	if refused := c.hold(op, size); refused != nil {
		return refused
	}
	if refused := c.spend(op.cost(), 1); refused != nil {
		return refused
	}
	if refused := c.spend(bodyRate, int(op.bounded(size))); refused != nil {
		return refused
	}
	if c.budget == nil || op.own {
		return nil
	}
	if c.entered = c.budget.enter(op.isLease()); !c.entered {
		return c.refuse(upstreamPlaces, time.Second)
	}
	return nil
}

// identified pays where the board was not known before.
func (c *charge) identified(size int64) *refusal {
	if c.budget != nil {
		return nil
	}
	c.budget = c.gateway.budgets.of(c.conn.payer())
	if refused := c.request(); refused != nil {
		return refused
	}
	return c.operation(c.op, size)
}

func (c *charge) release() {
	if c.entered {
		c.budget.leave(c.op.isLease())
	}
	c.gateway.bodies.Add(-c.held)
}

// hold bounds the memory that bodies take.
func (c *charge) hold(op *operation, size int64) *refusal {
	if op.isLease() || c.held > 0 {
		return nil
	}
	size = op.bounded(size)
	if c.gateway.bodies.Add(size) > maxBodyMemory {
		c.gateway.bodies.Add(-size)
		return c.gateway.upstreamFailure(c.conn, &call{op: op}, errBusy)
	}
	c.held = size
	return nil
}

func (c *charge) spend(what budgetItem, n int) *refusal {
	if c.budget == nil || what == noItem || n == 0 {
		return nil
	}
	if wait := c.budget.spend(what, n, time.Now()); wait > 0 {
		return c.refuse(what, wait)
	}
	return nil
}

// refuse counts what is beyond the budget. A board that goes on regardless is barred,
// and loses its link or connection.
func (c *charge) refuse(what budgetItem, wait time.Duration) *refusal {
	g := c.gateway
	g.metrics.overBudget.WithLabelValues(itemNames[what]).Inc()
	r := overBudget(what, wait)
	now := time.Now()
	if c.budget.overspent(now) {
		node, _ := c.conn.bound()
		g.metrics.barred.Inc()
		g.log.Warn("Barred a board that exceeds its budget regardless of refusals", "node", node, "addr", c.conn.host(), "budget", itemNames[what], "for", barTime)
	}
	if left := c.budget.barredFor(now); left > 0 {
		r = overBudget(what, left)
		r.hangUp = true
		if l := c.conn.link; l != nil {
			l.bar()
		}
	}
	return r
}

// bar ends the link of a board that is barred.
func (l *boardLink) bar() {
	l.barred.Store(true)
	l.end(noise.EndShutdown)
}

// errBarred refuses the link of a board that is barred.
var errBarred = errors.New("this board goes on beyond its budget of requests")

// mayLink refuses a board that is barred.
func (s *budgets) mayLink(key noise.PublicKey) error {
	if wait := s.barred(key); wait > 0 {
		return fmt.Errorf("%w: it is let in again in %d s", errBarred, wait/time.Second+1)
	}
	return nil
}

// cost is the resource that an operation takes, beside a request.
func (op *operation) cost() budgetItem {
	switch {
	case op.isLease():
		return leaseRate
	case op.resource == "events":
		return eventRate
	case op.body != nil:
		return statusRate
	}
	return noItem
}

// isLease reports whether an operation keeps a node's Lease alive, which comes before
// all else.
func (op *operation) isLease() bool { return op.resource == "leases" }

// bounded is as much of a body as is read.
func (op *operation) bounded(size int64) int64 { return min(max(size, 0), int64(op.maxBody)) }

// discardTime bounds the time that net/http takes to discard a body that was not
// read, before it answers.
const discardTime = 5 * time.Second

// answerRefused answers a request that was refused, whose body may not have been read.
func answerRefused(w http.ResponseWriter, refused *refusal) {
	control := http.NewResponseController(w)
	if !refused.hangUp { // else it is not read
		_ = control.SetReadDeadline(time.Now().Add(discardTime))
	}
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	refused.write(w)
}
