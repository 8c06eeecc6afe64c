// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/api/v1alpha1"
)

// silence is after how long without a byte of its board a link no longer stands in
// the way of another with the same key: a board renews its Lease every 10 s, and an
// idle link pings every 15 s.
const silence = 25 * time.Second

// A Hold is a board's right to be its node, from [Enrolment.Decide] until it is
// released or ended. While it lasts no other link with that key is let in.
type Hold struct {
	enrolment *Enrolment
	device    string
	uid       types.UID
	hello     Hello
	node      Node
	ctx       context.Context
	cancel    context.CancelCauseFunc
	heard     atomic.Int64                 // monotonic nanoseconds, see Heard
	claimed   atomic.Bool                  // the API server knows of it
	stored    atomic.Pointer[v1alpha1.Key] // see Stored; nil: none yet

	version *v1alpha1.Device // that was decided on; nil: any is newer; under holds.mu
}

// Node is what the board may be.
func (h *Hold) Node() Node { return h.node }

// Device is the name of the board's Device.
func (h *Hold) Device() string { return h.device }

// Context ends when the board must be cut off, with a *[Refusal] as its cause, and
// with Release. All that is done for the board belongs under it.
func (h *Hold) Context() context.Context { return h.ctx }

// Heard tells that a byte came from the board. It costs an atomic store.
func (h *Hold) Heard() { h.heard.Store(int64(h.enrolment.clock.elapsed())) }

// Release tells that the link has ended. It may be called more than once.
func (h *Hold) Release() { h.enrolment.letGo(h) }

// quiet is for how long no byte came.
func (h *Hold) quiet() time.Duration {
	return h.enrolment.clock.elapsed() - time.Duration(h.heard.Load())
}

func (h *Hold) silent() bool { return h.quiet() > silence }

// lastHeard is when the last byte came, by the API server's time.
func (h *Hold) lastHeard() time.Time { return h.enrolment.clock.now().Add(-h.quiet()) }

// holds are this gateway's, by Device.
type holds struct {
	mu     sync.Mutex
	byName map[string]*Hold
}

func (s *holds) get(device string) *Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[device]
}

func (s *holds) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName)
}

// forgetVersions has each Hold end by whatever is told next of its Device.
func (s *holds) forgetVersions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.byName {
		h.version = nil
	}
}

// take makes a Hold of d, unless a board with its key is connected here and not
// silent.
func (e *Enrolment) take(d *v1alpha1.Device, hello Hello) (*Hold, *Refusal) {
	h := &Hold{enrolment: e, device: d.Name, uid: d.UID, hello: hello, node: nodeOf(d), version: d}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.hello.JoinToken = "" // done with
	h.Heard()
	old, ok := e.holds.replace(h)
	if !ok {
		return nil, keyInUse(d)
	}
	if old != nil {
		r := takenOver(d)
		old.cancel(r)
		e.tell(old.ctx, r, d, old.hello.Address)
	}
	return h, nil
}

// replace puts h in the place of an old Hold, if that is silent.
func (s *holds) replace(h *Hold) (old *Hold, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.byName[h.device]
	if old != nil && !old.silent() {
		return nil, false
	}
	s.byName[h.device] = h
	return old, true
}

func keyInUse(d *v1alpha1.Device) *Refusal {
	return refuse(KeyInUse, d.Name, "a board with the key of device %s is connected already: if there are two, kubectl pico revoke %[1]s and give each a key", d.Name)
}

func takenOver(d *v1alpha1.Device) *Refusal {
	return refuse(TakenOver, d.Name, "the board of device %s has come by another connection: if there are two, kubectl pico revoke %[1]s", d.Name)
}

// letGo ends a Hold normally.
func (e *Enrolment) letGo(h *Hold) {
	if e.drop(h, context.Canceled) {
		e.queue.Add(h.device)
	}
}

// drop ends a Hold, and reports whether it was held until now.
func (e *Enrolment) drop(h *Hold, cause error) bool {
	e.holds.mu.Lock()
	held := e.holds.byName[h.device] == h
	if held {
		delete(e.holds.byName, h.device)
	}
	e.holds.mu.Unlock()
	h.cancel(cause)
	return held
}

// cut ends the Hold on a Device, if there is one that is older than d, for what is
// found on looking at it.
func (e *Enrolment) cut(d *v1alpha1.Device, look func(h *Hold) *Refusal) {
	h, r := e.findCut(d, look)
	if r == nil {
		return
	}
	h.cancel(r)
	e.tell(h.ctx, r, d, h.hello.Address)
}

func (e *Enrolment) findCut(d *v1alpha1.Device, look func(h *Hold) *Refusal) (*Hold, *Refusal) {
	e.holds.mu.Lock()
	defer e.holds.mu.Unlock()
	h := e.holds.byName[d.Name]
	if h == nil || !newer(d, h.version) {
		return nil, nil
	}
	r := look(h)
	if r != nil {
		delete(e.holds.byName, d.Name)
	}
	return h, r
}
