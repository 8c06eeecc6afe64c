// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// replicas knows which processes of gateways are there. Time is counted in renewals
// of our own Lease that the same watch told of: a gateway that was paused, or cut
// off from the API server, or has a wrong clock, takes nobody for gone because of
// that.
type replicas struct {
	self string // identity

	mu      sync.Mutex
	own     int                // renewals
	seen    map[string]renewal // by name of the Lease
	present chan struct{}      // closed when our own Lease is there
}

// renewal is the last one of a Lease.
type renewal struct {
	holder string
	time   string // as the Lease has it
	own    int    // value of replicas.own
}

func newReplicas(self string) *replicas {
	return &replicas{self: self, seen: make(map[string]renewal), present: make(chan struct{})}
}

// renewed takes a version of a gateway's Lease.
func (r *replicas) renewed(l *coordinationv1.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	holder, at := ptr.Deref(l.Spec.HolderIdentity, ""), l.Spec.RenewTime.String()
	if last := r.seen[l.Name]; last.time == at && last.holder == holder {
		return
	}
	if holder == r.self {
		if r.own++; r.own == 1 {
			close(r.present)
		}
	}
	r.seen[l.Name] = renewal{holder, at, r.own}
}

func (r *replicas) ended(l *coordinationv1.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, l.Name)
}

// standing is what is known of a gateway.
type standing int

const (
	unknown standing = iota // no Lease of it that the watch told of, yet or any more
	live
	gone
)

// standing is that of the process with an identity.
func (r *replicas) standing(identity string) standing {
	if identity == r.self {
		return live
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch last, ok := r.seen[leasePrefix+nameOf(identity)]; {
	case ok && last.holder == r.self: // its Lease is ours
		return gone
	case !ok || last.holder != identity:
		return unknown
	case r.own-last.own < missedRenewals:
		return live
	}
	return gone
}

// gone reports whether a process that once took boards takes them no more. Each
// has its Lease before it takes its first board, so where the watch does not show
// that Lease the API server does, unless the process has ended. In doubt it is there.
func (e *Enrolment) gone(ctx context.Context, identity string) bool {
	if s := e.replicas.standing(identity); s != unknown {
		return s == gone
	}
	l, err := e.client.CoordinationV1().Leases(e.config.Namespace).Get(ctx, leasePrefix+nameOf(identity), metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	e.replicas.renewed(l)
	return ptr.Deref(l.Spec.HolderIdentity, "") != identity
}

func (e *Enrolment) replicaHandlers() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { e.replicas.renewed(obj.(*coordinationv1.Lease)) },
		UpdateFunc: func(_, obj any) { e.replicas.renewed(obj.(*coordinationv1.Lease)) },
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if l, ok := obj.(*coordinationv1.Lease); ok {
				e.replicas.ended(l)
			}
		},
	}
}
