// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import "sync"

// names is a set of names of Devices. Its zero value is empty.
type names struct {
	mu  sync.Mutex
	all map[string]struct{}
}

// add reports whether name is new.
func (n *names) add(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = make(map[string]struct{})
	}
	_, had := n.all[name]
	n.all[name] = struct{}{}
	return !had
}

func (n *names) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, name)
}

func (n *names) has(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, had := n.all[name]
	return had
}

// SawRuntime takes the container runtime version that the API server shows of the
// board's Node. If another machine's kubelet has registered under that name, the
// Hold ends: the two would write over one another.
func (h *Hold) SawRuntime(version string) {
	if isBoardRuntime(version) {
		return
	}
	e := h.enrolment
	e.foreign.add(h.device)
	if r := notABoard(h.device, h.node.Name); e.drop(h, r) {
		e.tell(h.ctx, r, e.view.get(h.device), h.hello.Address)
	}
	e.queue.Add(h.device)
}
