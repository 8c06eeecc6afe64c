// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"container/list"
	"sync"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// A payer is whose budget it is: of a link the key, on plain HTTP the node and the
// address, for more is not known there. Before a connection of plain HTTP has named
// its node, its payer is the address, whose budget bounds lines of the log alone.
type payer struct {
	key        noise.PublicKey
	node, addr string
}

// budgets are those of the boards that asked for something within budgetMemory.
type budgets struct {
	max    int
	limits [upstreamPlaces]limit

	mu      sync.Mutex
	entries map[payer]*list.Element
	byUse   *list.List // of *budgetEntry, the one that was used least lately first
}

type budgetEntry struct {
	payer  payer
	budget *budget
	used   time.Time
}

func newBudgets(most int) *budgets {
	return &budgets{max: most, limits: limits, entries: make(map[payer]*list.Element), byUse: list.New()}
}

// of is the budget of a payer, a full one if there is none.
func (s *budgets) of(p payer) *budget {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	e := s.entries[p]
	if e == nil {
		e = s.byUse.PushBack(&budgetEntry{payer: p, budget: newBudget(&s.limits)})
		s.entries[p] = e
	}
	s.byUse.MoveToBack(e)
	entry := e.Value.(*budgetEntry)
	entry.used = now
	s.expire(now)
	return entry.budget
}

// expire drops budgets that are full again, and the one that was used least lately
// if there are too many.
func (s *budgets) expire(now time.Time) {
	for e := s.byUse.Front(); e != nil; e = s.byUse.Front() {
		entry := e.Value.(*budgetEntry)
		if now.Sub(entry.used) < budgetMemory && s.byUse.Len() <= s.max {
			return
		}
		s.byUse.Remove(e)
		delete(s.entries, entry.payer)
	}
}

// barred is how long the board with a key is barred; it makes no budget.
func (s *budgets) barred(key noise.PublicKey) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[payer{key: key}]
	if e == nil {
		return 0
	}
	return e.Value.(*budgetEntry).budget.barredFor(time.Now())
}
