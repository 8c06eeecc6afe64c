// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/picolet/picolet/link/noise"
)

// Newcomer is a board that has proved its key, and what it says of itself.
type Newcomer struct {
	Key     noise.PublicKey
	Hello   noise.Hello // unchecked
	Address string      // IP address that it comes from

	GatewayKey noise.PublicKey // by which of the gateway's keys the board knows it
}

// Admission decides which board may be which node.
type Admission interface {
	// Admit decides on a board. The text of an error is told to the board: up to
	// noise.MaxRefusal bytes of printable ASCII that say what an administrator
	// can do. One that is [ErrTold] is not logged again, and one that is a [Retry]
	// says when the board shall try again. ctx ends with the handshake's time. It
	// is called by several goroutines.
	Admit(ctx context.Context, n Newcomer) (Admitted, error)
}

// A Retry is an error of Admit that goes away by itself.
type Retry interface {
	error
	// RetryAfter is how long the board shall wait before it dials again: up to
	// noise.MaxDelay, in whole seconds; 0 to leave that to the board.
	RetryAfter() time.Duration
}

func retryDelay(err error) time.Duration {
	if r, ok := errors.AsType[Retry](err); ok {
		return r.RetryAfter()
	}
	return 0
}

// ErrTold is what an error of Admit is, by [errors.Is], that Admission has logged.
var ErrTold = errors.New("told already")

// Admitted is a board's right to be a node, from Admit until Release.
type Admitted struct {
	// Node is the name of the node that the board is. Required.
	Node string
	// Context ends when the board must be cut off, which happens within a second.
	// Its cause is logged. Required.
	Context context.Context
	// Heard is told that bytes of the board have come. It must return at once.
	// Optional.
	Heard func()
	// Runtime is told the container runtime version that the API server shows of the
	// Node, now and then while the board renews its Lease. Optional.
	Runtime func(version string)
	// Stored is told that the board has stored the newest of the gateway's keys. It
	// must return at once. Optional.
	Stored func(gatewayKey noise.PublicKey)
	// Release is told, once, that the link has ended or did not come about.
	// Required.
	Release func()
	// Reason is what the board is told for the cause of Context's end. Optional
	// [noise.EndRevoked].
	Reason func(cause error) noise.Reason
	// Part is what the gateway sets on this node. Optional [nothing was decided].
	Part NodePart
	// Device is the name of the object that decides about the board, for what it is
	// told to change. Required with ConfigMaps.
	Device string
	// ConfigMaps are those that the board may read, and no others. Optional [all that
	// the gateway may read].
	ConfigMaps []ConfigMapName
}

// ConfigMapName names a ConfigMap.
type ConfigMapName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (a *Admitted) reason() noise.Reason {
	if a.Reason == nil {
		return noise.EndRevoked
	}
	return a.Reason(context.Cause(a.Context))
}

// Errors of an [AllowList].
var (
	ErrNotAllowed = errors.New("this board's key is not allowed here")
	ErrKeyInUse   = errors.New("a board with this key is connected already: if there are two, give each a key of its own")

	errTakenOver = errors.New("the board has come by another connection")
	errDenied    = errors.New("the board's key is not allowed any more")
)

// silence is after how long without a byte of its board a link gives way to
// another with the same key. An idle link pings each 15 s ([noise.DefaultIdle]).
const silence = 25 * time.Second

// AllowList is an Admission by a list in memory, for tests of links: package
// enrolment decides by Devices. Make it by [NewAllowList].
type AllowList struct {
	now func() time.Time

	mu    sync.Mutex
	nodes map[noise.PublicKey]string
	holds map[noise.PublicKey]*hold
}

// hold is the link of a board that an AllowList let in.
type hold struct {
	cancel context.CancelCauseFunc
	heard  time.Time
}

var _ Admission = (*AllowList)(nil)

// NewAllowList returns a list that allows nobody.
func NewAllowList() *AllowList {
	return &AllowList{now: time.Now, nodes: make(map[noise.PublicKey]string), holds: make(map[noise.PublicKey]*hold)}
}

// Allow lets the board with this key be node, which no other key may be.
func (l *AllowList) Allow(key noise.PublicKey, node string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, name := range l.nodes {
		if name == node && other != key {
			return fmt.Errorf("node %q is the board with key %s: choose another name", node, Fingerprint(other))
		}
	}
	l.nodes[key] = node
	return nil
}

// Deny takes a key off the list, and cuts its board off.
func (l *AllowList) Deny(key noise.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, key)
	if h := l.holds[key]; h != nil {
		h.cancel(errDenied)
	}
}

// Admit implements Admission. A second link with the same key is refused, unless
// the first has fallen silent: then it is replaced.
func (l *AllowList) Admit(_ context.Context, n Newcomer) (Admitted, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node, ok := l.nodes[n.Key]
	if !ok {
		return Admitted{}, fmt.Errorf("%w: %s", ErrNotAllowed, Fingerprint(n.Key))
	}
	if n.Hello.NodeName != node {
		return Admitted{}, fmt.Errorf("%w: key %s is that of node %q", ErrNotAllowed, Fingerprint(n.Key), node)
	}
	if old := l.holds[n.Key]; old != nil {
		if l.now().Sub(old.heard) <= silence {
			return Admitted{}, ErrKeyInUse
		}
		old.cancel(errTakenOver)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	h := &hold{cancel: cancel, heard: l.now()}
	l.holds[n.Key] = h
	return Admitted{
		Node: node, Context: ctx, Reason: endReason,
		Heard:   func() { l.heard(h) },
		Release: func() { l.release(n.Key, h) },
	}, nil
}

func endReason(cause error) noise.Reason {
	if errors.Is(cause, errTakenOver) {
		return noise.EndReplaced
	}
	return noise.EndRevoked
}

func (l *AllowList) heard(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.heard = l.now()
}

func (l *AllowList) release(key noise.PublicKey, h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holds[key] == h {
		delete(l.holds, key)
	}
	h.cancel(context.Canceled)
}
