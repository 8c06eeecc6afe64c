// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"
)

// A gateway renews a Lease in its namespace, by which the others know whether the
// boards that it has are taken. The Lease has the gateway's name, and its holder is
// one process: of two with one name, the second waits.
const (
	replicaLabel  = "picolet.dev/component" // of the Lease: gateway
	replicaValue  = "gateway"
	leasePrefix   = "picolet-gateway-"
	processNote   = "picolet.dev/process" // annotation: the holder, as its machine knows it
	leaseDuration = 15 * time.Second
	leaseRenewal  = 5 * time.Second
	leaseRetry    = time.Second     // after a failure
	leaseRelease  = 3 * time.Second // bounds the deletion at the end

	// missedRenewals of our own within which another process does not renew its
	// Lease, and it is gone.
	missedRenewals = int(leaseDuration / leaseRenewal)
)

const (
	identitySize = 5 // random characters of an identity, of 32 each
	// MaxReplicaName is the size of the longest name of a gateway: beside it, the
	// rest of an identity has room in status.gateway.
	MaxReplicaName = 63 - 1 - identitySize
)

// newIdentity names a process of the gateway of that name, such as gw-1_k3x9q.
func newIdentity(name string) string {
	return name + "_" + strings.ToLower(rand.Text()[:identitySize])
}

// nameOf is the gateway's name in an identity.
func nameOf(identity string) string {
	name, _, _ := strings.Cut(identity, "_")
	return name
}

// leaseKeeper acquires a Lease, renews it, and deletes it in the end. Another
// process's Lease is taken over when it was not renewed between four looks that are
// a renewal apart: no clock is compared with another's. One of a process that is known
// to have ended, as after a crash on the same machine, is taken over at once.
type leaseKeeper struct {
	leases    coordinationclient.LeaseInterface
	name      string // of the Lease
	identity  string // of this process
	process   string // as this machine knows it
	exclusive bool   // no other process of this name can be alive
	now       func() time.Time
	log       *slog.Logger

	acquired func() // called with each renewal
	lost     func() // another process has the Lease
	wentBack func() // the API server's store did

	held    *coordinationv1.Lease // as last written; nil: not ours
	version string                // newest resourceVersion of the Lease when it was ours
	rival   *coordinationv1.Lease // another process's, as first seen
	seen    int                   // how often it was seen without a renewal since
	failed  bool                  // and was logged
}

// run keeps the Lease until ctx ends, and then deletes it if it is ours.
func (k *leaseKeeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			k.release(context.WithoutCancel(ctx))
			return
		case <-timer.C:
		}
		timer.Reset(k.next(ctx, k.keep(ctx)))
	}
}

// next is after which time to renew again. The first failure of a row is logged.
func (k *leaseKeeper) next(ctx context.Context, err error) time.Duration {
	if err == nil || ctx.Err() != nil {
		k.failed = false
		return leaseRenewal
	}
	if !k.failed {
		k.log.Warn("Failed to renew this gateway's Lease, will retry; apply deploy/enrolment.yaml if it is missing", "lease", k.name, "err", err)
	}
	k.failed = true
	return leaseRetry
}

// keep renews the Lease, or tries to get it.
func (k *leaseKeeper) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenewal)
	defer cancel()
	if k.held != nil {
		err := k.write(k.leases.Update(ctx, k.renewal(k.held), metav1.UpdateOptions{}))
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
		k.held = nil
	}
	l, err := k.leases.Get(ctx, k.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return k.write(k.leases.Create(ctx, k.renewal(&coordinationv1.Lease{}), metav1.CreateOptions{}))
	case err != nil:
		return err
	}
	// Of a restored store: nobody holds it.
	back := k.check(l)
	if !back && !k.mayTake(l) {
		return nil
	}
	return k.write(k.leases.Update(ctx, k.renewal(l), metav1.UpdateOptions{}))
}

// check reports whether l is older than what this process has written.
func (k *leaseKeeper) check(l *coordinationv1.Lease) (back bool) {
	if back = older(l.ResourceVersion, k.version); back {
		k.version = l.ResourceVersion
		k.wentBack()
	}
	return back
}

// mayTake reports whether the Lease is ours, or that of a process that is gone.
func (k *leaseKeeper) mayTake(l *coordinationv1.Lease) bool {
	holder := ptr.Deref(l.Spec.HolderIdentity, "")
	if holder == k.identity || holder == "" || k.exclusive || isDead(l.Annotations[processNote]) {
		return true
	}
	if k.version != "" {
		k.version = ""
		k.log.Error("Another gateway has taken this one's Lease, links end; give each gateway a name of its own by --name", "lease", k.name, "holder", holder)
		k.lost()
	}
	if k.rival == nil || *k.rival.Spec.HolderIdentity != holder {
		k.log.Warn("A gateway of this name holds the Lease: waiting until it is gone; if both shall run, give each a name of its own by --name", "lease", k.name, "holder", holder)
	}
	if k.rival == nil || k.rival.ResourceVersion != l.ResourceVersion {
		k.rival, k.seen = l, 0
		return false
	}
	k.seen++
	return k.seen >= missedRenewals
}

// renewal is l as this process renews it, or makes it its own.
func (k *leaseKeeper) renewal(l *coordinationv1.Lease) *coordinationv1.Lease {
	l = l.DeepCopy()
	now := metav1.NewMicroTime(k.now())
	l.Name = k.name
	metav1.SetMetaDataLabel(&l.ObjectMeta, replicaLabel, replicaValue)
	metav1.SetMetaDataAnnotation(&l.ObjectMeta, processNote, k.process)
	if old := l.Spec.HolderIdentity; old == nil || *old != k.identity {
		l.Spec.HolderIdentity, l.Spec.AcquireTime = &k.identity, &now
		if old != nil {
			l.Spec.LeaseTransitions = ptr.To(ptr.Deref(l.Spec.LeaseTransitions, 0) + 1)
		}
	}
	l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = ptr.To(int32(leaseDuration/time.Second)), &now
	return l
}

// write takes the answer to a write of the Lease.
func (k *leaseKeeper) write(l *coordinationv1.Lease, err error) error {
	if err != nil {
		return err
	}
	k.check(l)
	k.held, k.version, k.rival = l, l.ResourceVersion, nil
	k.acquired()
	return nil
}

// release deletes the Lease, unless another process has it. It is read first, for the
// answer to the last renewal may have been lost.
func (k *leaseKeeper) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseRelease)
	defer cancel()
	err := k.deleteOwn(ctx)
	if apierrors.IsConflict(err) {
		err = k.deleteOwn(ctx)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		k.log.Warn("Failed to delete this gateway's Lease: others take its boards when it has expired", "lease", k.name, "err", err)
	}
}

func (k *leaseKeeper) deleteOwn(ctx context.Context) error {
	l, err := k.leases.Get(ctx, k.name, metav1.GetOptions{})
	if err != nil || ptr.Deref(l.Spec.HolderIdentity, "") != k.identity {
		return err
	}
	return k.leases.Delete(ctx, k.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion},
	})
}

var errNoLease = errors.New("another gateway of this name holds its Lease: give each a name of its own by --name")

// keepLease holds this gateway's Lease until ctx ends.
func (e *Enrolment) keepLease(ctx context.Context) {
	k := &leaseKeeper{
		leases: e.client.CoordinationV1().Leases(e.config.Namespace), name: leasePrefix + e.config.Replica,
		identity: e.identity, process: processName(), exclusive: e.config.Exclusive, now: e.clock.now, log: e.log,
		acquired: func() { e.usurped.Store(false) },
		lost: func() {
			e.usurped.Store(true)
			e.endAll("another gateway has this one's name: the board may come again")
		},
		wentBack: e.relist,
	}
	k.run(ctx)
}
