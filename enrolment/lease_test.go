// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/picolet/picolet/testlog"
)

// leaseStore is an API server's store of one Lease, with versions.
type leaseStore struct {
	coordinationclient.LeaseInterface

	mu      sync.Mutex
	version int
	lease   *coordinationv1.Lease
	down    error
}

var leaseResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (s *leaseStore) put(l *coordinationv1.Lease) *coordinationv1.Lease {
	s.version++
	s.lease = l.DeepCopy()
	s.lease.ResourceVersion = strconv.Itoa(s.version)
	return s.lease.DeepCopy()
}

func (s *leaseStore) Get(_ context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down != nil:
		return nil, s.down
	case s.lease == nil:
		return nil, apierrors.NewNotFound(leaseResource, name)
	}
	return s.lease.DeepCopy(), nil
}

func (s *leaseStore) Create(_ context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down != nil:
		return nil, s.down
	case s.lease != nil:
		return nil, apierrors.NewAlreadyExists(leaseResource, l.Name)
	}
	l.UID = "u"
	return s.put(l), nil
}

func (s *leaseStore) Update(_ context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down != nil:
		return nil, s.down
	case s.lease == nil:
		return nil, apierrors.NewNotFound(leaseResource, l.Name)
	case s.lease.ResourceVersion != l.ResourceVersion:
		return nil, apierrors.NewConflict(leaseResource, l.Name, nil)
	}
	return s.put(l), nil
}

func (s *leaseStore) Delete(_ context.Context, name string, o metav1.DeleteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down != nil:
		return s.down
	case s.lease == nil:
		return apierrors.NewNotFound(leaseResource, name)
	case s.lease.ResourceVersion != *o.Preconditions.ResourceVersion:
		return apierrors.NewConflict(leaseResource, name, nil)
	}
	s.lease = nil
	return nil
}

// restore puts back what was there before.
func (s *leaseStore) restore(l *coordinationv1.Lease, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease, s.version = l, version
}

func (s *leaseStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// holder is who has the Lease; "" if nobody has.
func (s *leaseStore) holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return ""
	}
	return *s.lease.Spec.HolderIdentity
}

// keeper is a leaseKeeper that runs.
type keeper struct {
	*leaseKeeper
	log                  testlog.Buffer
	lostTimes, backTimes int
	stop, crash          func() // crash ends it without a word
}

func startKeeper(t *testing.T, s *leaseStore, identity string, exclusive bool) *keeper {
	k := new(keeper)
	k.leaseKeeper = &leaseKeeper{
		leases: s, name: leasePrefix + nameOf(identity), identity: identity, exclusive: exclusive, now: time.Now,
		log:      slog.New(slog.NewTextHandler(&k.log, nil)),
		acquired: func() {}, lost: func() { k.lostTimes++ }, wentBack: func() { k.backTimes++ },
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	k.stop = func() { cancel(); running.Wait() }
	k.crash = func() {
		cut := &leaseStore{}
		cut.fail(context.Canceled)
		k.leases = cut
		k.stop()
	}
	t.Cleanup(k.stop)
	synctest.Wait()
	return k
}

// TestSecondGatewayOfOneNameWaits: it logs why, once, has the Lease 15 to 20 s after
// the first crashed, and the first deletes nobody else's Lease.
func TestSecondGatewayOfOneNameWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(leaseStore)
		first := startKeeper(t, s, "gw_1", false)
		second := startKeeper(t, s, "gw_2", false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.holder() != "gw_1" {
			t.Fatalf("%q has the Lease", s.holder())
		}
		if n := strings.Count(second.log.String(), "A gateway of this name holds the Lease"); n != 1 || !strings.Contains(second.log.String(), "holder=gw_1") || !strings.Contains(second.log.String(), "--name") {
			t.Errorf("logged %d times: %s", n, &second.log)
		}
		first.crash()
		crashed := time.Now()
		for s.holder() != "gw_2" {
			time.Sleep(time.Second)
			synctest.Wait()
			if time.Since(crashed) > time.Minute {
				t.Fatal("never taken over")
			}
		}
		if took := time.Since(crashed); took < leaseDuration || took > leaseDuration+leaseRenewal {
			t.Errorf("taken over after %v", took)
		}
		if got := *s.lease.Spec.LeaseTransitions; got != 1 {
			t.Errorf("%d transitions", got)
		}
		second.stop()
		if s.lease != nil {
			t.Errorf("the Lease stays after its holder's end: %+v", s.lease)
		}
	})
}

// TestPausedGatewayLosesItsLease: one that another has taken over notices, and
// leaves the other's Lease alone.
func TestPausedGatewayLosesItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(leaseStore)
		first := startKeeper(t, s, "gw_1", false)
		second := startKeeper(t, s, "gw_2", true) // takes it at once
		if s.holder() != "gw_2" {
			t.Fatalf("%q has the Lease", s.holder())
		}
		time.Sleep(leaseRenewal)
		synctest.Wait()
		if first.lostTimes != 1 || !strings.Contains(first.log.String(), "Another gateway has taken") {
			t.Errorf("lost %d times: %s", first.lostTimes, &first.log)
		}
		time.Sleep(time.Hour)
		first.stop()
		if s.holder() != "gw_2" || first.lostTimes != 1 || second.lostTimes != 0 {
			t.Errorf("%q has the Lease; lost %d and %d times", s.holder(), first.lostTimes, second.lostTimes)
		}
	})
}

// TestLeaseOfARestoredStore: it is taken back at once, whoever held it then.
func TestLeaseOfARestoredStore(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]*coordinationv1.Lease{
		"ours": {}, "none": nil, "another's": {},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &leaseStore{version: 100}
			k := startKeeper(t, s, "gw_2", false)
			if before != nil {
				holder := map[string]string{"ours": "gw_2", "another's": "gw_1"}[name]
				before.Name, before.ResourceVersion, before.Spec.HolderIdentity = k.name, "40", &holder
			}
			time.Sleep(leaseRenewal)
			synctest.Wait()
			s.restore(before, 50)
			time.Sleep(leaseRenewal)
			synctest.Wait()
			if s.holder() != "gw_2" || k.backTimes != 1 || k.lostTimes != 0 {
				t.Errorf("%s: %q has the Lease, went back %d times, lost %d times", name, s.holder(), k.backTimes, k.lostTimes)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if k.backTimes != 1 {
				t.Errorf("%s: went back %d times", name, k.backTimes)
			}
		})
	}
}

// TestLeaseWithoutAPIServer: one line a failure, another try each second.
func TestLeaseWithoutAPIServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(leaseStore)
		k := startKeeper(t, s, "gw_1", false)
		s.fail(apierrors.NewInternalError(context.DeadlineExceeded))
		time.Sleep(time.Minute)
		s.fail(nil)
		time.Sleep(leaseRetry)
		synctest.Wait()
		if n := strings.Count(k.log.String(), "\n"); n != 1 || k.failed || k.lostTimes != 0 {
			t.Errorf("%d lines, failed %v, lost %d times:\n%s", n, k.failed, k.lostTimes, &k.log)
		}
	})
}

// TestCrashOnTheSameMachine costs no time: the process is known to have ended.
func TestCrashOnTheSameMachine(t *testing.T) {
	t.Parallel()
	ended := strings.Fields(processName())
	if len(ended) != 4 {
		t.Skip("this system does not tell one process from another")
	}
	ended[3] = "1" // an earlier one of this ID
	for name, want := range map[string]string{strings.Join(ended, " "): "gw_2", processName(): "gw_1"} {
		synctest.Test(t, func(t *testing.T) {
			s := new(leaseStore)
			holder := "gw_1"
			l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{processNote: name}}}
			l.Spec.HolderIdentity = &holder
			s.put(l)
			startKeeper(t, s, "gw_2", false)
			if got := s.holder(); got != want {
				t.Errorf("%s has the Lease, want %s", got, want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("a", MaxReplicaName)
	a, b := newIdentity(name), newIdentity(name)
	if a == b || len(a) != 63 || nameOf(a) != name || nameOf("gw-1") != "gw-1" {
		t.Errorf("identities %s and %s", a, b)
	}
}
