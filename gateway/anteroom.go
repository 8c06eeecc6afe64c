// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"container/list"
	"sync"
)

// anteroom holds the connections that are no links yet: a bounded number, of each
// address and of all. Who comes when it is full takes the place of who has waited
// longest, of the same address if that has its share, and of those who have said
// nothing if there is one. So those who say nothing cannot keep out those who do.
type anteroom struct {
	max, maxPerAddress int

	mu     sync.Mutex
	all    *list.List // of *linkConn, the oldest first
	places map[*linkConn]*list.Element
	byAddr map[string]int
	closed bool
}

func newAnteroom(limit, perAddress int) *anteroom {
	return &anteroom{
		max: limit, maxPerAddress: perAddress,
		all: list.New(), places: make(map[*linkConn]*list.Element), byAddr: make(map[string]int),
	}
}

// enter takes c in, and closes another if it must.
func (a *anteroom) enter(c *linkConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		_ = c.Conn.Close()
		return
	case a.byAddr[c.addr] >= a.maxPerAddress:
		a.makeRoom(func(o *linkConn) bool { return o.addr == c.addr })
	case a.all.Len() >= a.max:
		a.makeRoom(func(*linkConn) bool { return true })
	}
	a.places[c] = a.all.PushBack(c)
	a.byAddr[c.addr]++
}

// makeRoom closes one of the connections that are meant.
func (a *anteroom) makeRoom(meant func(*linkConn) bool) {
	if !a.evict(func(c *linkConn) bool { return meant(c) && !c.shaking.Load() }) {
		a.evict(meant)
	}
}

// evict closes the oldest connection that is meant, and tells whether there was one.
func (a *anteroom) evict(meant func(*linkConn) bool) bool {
	for e := a.all.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*linkConn); meant(c) {
			c.evict()
			a.drop(c)
			return true
		}
	}
	return false
}

// leave tells that c is a link now, or closed.
func (a *anteroom) leave(c *linkConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(c)
}

func (a *anteroom) drop(c *linkConn) {
	e := a.places[c]
	if e == nil {
		return
	}
	a.all.Remove(e)
	delete(a.places, c)
	if a.byAddr[c.addr]--; a.byAddr[c.addr] == 0 {
		delete(a.byAddr, c.addr)
	}
}

// close closes all that wait, and who comes from now on.
func (a *anteroom) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for e := a.all.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*linkConn).Conn.Close()
	}
}
