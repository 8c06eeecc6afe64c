// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

// A gateway renews a Lease in its namespace, by which the others know whether the
// boards that it has are taken.
const (
	replicaLabel  = "picolet.dev/component" // of the Lease: gateway
	replicaValue  = "gateway"
	leasePrefix   = "picolet-gateway-"
	leaseDuration = 15 * time.Second
	leaseRenewal  = 5 * time.Second

	// missedRenewals of our own within which another gateway does not renew its
	// Lease, and it is gone.
	missedRenewals = int(leaseDuration / leaseRenewal)
)

// replicas knows which gateways are there. Time is counted in renewals of our own
// Lease that the same watch told of: a gateway that was paused, or cut off from the
// API server, or has a wrong clock, takes nobody for gone because of that.
type replicas struct {
	self string

	mu      sync.Mutex
	own     int // renewals
	seen    map[string]renewal
	present chan struct{} // closed when our own Lease is there
}

// renewal is the last one of a Lease.
type renewal struct {
	time string // as the Lease has it
	own  int    // value of replicas.own
}

func newReplicas(self string) *replicas {
	return &replicas{self: self, seen: make(map[string]renewal), present: make(chan struct{})}
}

// renewed takes a version of a gateway's Lease.
func (r *replicas) renewed(l *coordinationv1.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := l.Spec.RenewTime.String()
	if r.seen[l.Name].time == t {
		return
	}
	if l.Name == leasePrefix+r.self {
		if r.own++; r.own == 1 {
			close(r.present)
		}
	}
	r.seen[l.Name] = renewal{t, r.own}
}

func (r *replicas) ended(l *coordinationv1.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, l.Name)
}

// standing is what is known of a gateway.
type standing int

const (
	unknown standing = iota // no Lease that the watch told of, yet or any more
	live
	gone
)

func (r *replicas) standing(replica string) standing {
	if replica == r.self {
		return live
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch last, ok := r.seen[leasePrefix+replica]; {
	case !ok:
		return unknown
	case r.own-last.own < missedRenewals:
		return live
	}
	return gone
}

// gone tells whether a gateway that once took boards takes them no more. Every
// gateway has a Lease before it takes its first board, so where the watch knows of
// none the API server does, unless that gateway has ended. In doubt it is there.
func (e *Enrolment) gone(ctx context.Context, replica string) bool {
	if s := e.replicas.standing(replica); s != unknown {
		return s == gone
	}
	l, err := e.client.CoordinationV1().Leases(e.config.Namespace).Get(ctx, leasePrefix+replica, metav1.GetOptions{})
	if err == nil {
		e.replicas.renewed(l)
	}
	return apierrors.IsNotFound(err)
}

// newReplicaInformer watches the Leases of gateways, and no other.
func (e *Enrolment) newReplicaInformer(client kubernetes.Interface) cache.SharedIndexInformer {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(e.config.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = replicaLabel + "=" + replicaValue }))
	return factory.Coordination().V1().Leases().Informer()
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

// keepLease renews this gateway's Lease until ctx ends, and then deletes it.
func (e *Enrolment) keepLease(ctx context.Context, client kubernetes.Interface) {
	holder := e.config.Replica
	controller := lease.NewController(clock.RealClock{}, client, holder, int32(leaseDuration/time.Second), nil, leaseRenewal,
		leasePrefix+holder, e.config.Namespace, func(l *coordinationv1.Lease) error {
			metav1.SetMetaDataLabel(&l.ObjectMeta, replicaLabel, replicaValue)
			return nil
		})
	controller.Run(ctx)
	controller.Stop()
}
