// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// networkAnnotation is the network from which the board of a Device first came.
const networkAnnotation = "picolet.dev/discovered-from"

// shares is how many networks it takes to fill all places of pending Devices.
const shares = 4

// places are those for pending Devices that gateways made. A network has a share of
// them, so that one cannot take all.
type places struct {
	mu      sync.Mutex
	making  map[string]int         // by network: Devices that are not in view yet
	evicted map[types.UID]struct{} // Devices that are deleted, but still in view
}

// network is that of an address: of IPv4 the /24, of IPv6 the /64, which one host
// has (RFC 4291, section 2.5.4).
func network(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

// networkOf is the network that a Device counts for.
func networkOf(d *v1alpha1.Device) string {
	if n, ok := d.Annotations[networkAnnotation]; ok {
		return n
	}
	return network(d.Status.Address)
}

func discovered(d *v1alpha1.Device) bool { return d.Labels[discoveredLabel] == "true" }

// room reserves a place for one more pending Device, to be given back by leave when
// the Device is in view. Where there is none, another Device gives way.
func (e *Enrolment) room(ctx context.Context, addr string) *Refusal {
	if !e.strangers.allow(subnet(addr)) {
		return refuse(RateLimited, "", "too many unknown boards from %s: wait a minute, or give boards a join token", subnet(addr))
	}
	n := network(addr)
	victim, r := e.reserve(n)
	if r != nil || victim == nil {
		return r
	}
	err := e.devices.Delete(ctx, victim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(victim.UID), ResourceVersion: ptr.To(victim.ResourceVersion)},
	})
	if err == nil || apierrors.IsNotFound(err) {
		e.log.Info("Pending device gave way to a newer one", "device", victim.Name, "node", victim.Spec.NodeName, "network", networkOf(victim))
		return nil
	}
	e.leave(n)
	e.places.returned(victim)
	if apierrors.IsConflict(err) { // its board came, or somebody decided
		return e.full(n)
	}
	return unavailable("", err)
}

// reserve takes a place for a network; victim is the Device that is to give way.
func (e *Enrolment) reserve(n string) (victim *v1alpha1.Device, r *Refusal) {
	p := &e.places
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting, counts := p.waiting(e.view.pending())
	total := 0
	for _, c := range counts {
		total += c
	}
	if counts[n] >= e.share() || total >= e.config.MaxPending {
		if victim = e.longestIdle(waiting, crowded(counts, n, e.share())); victim == nil {
			return nil, e.full(n)
		}
		p.evicted[victim.UID] = struct{}{}
	}
	p.making[n]++
	return victim, nil
}

// waiting are the Devices that have places, and how many places each network has.
func (p *places) waiting(pending []*v1alpha1.Device) (waiting []*v1alpha1.Device, counts map[string]int) {
	counts = make(map[string]int)
	for n, c := range p.making {
		counts[n] += c
	}
	for _, d := range pending {
		if _, gone := p.evicted[d.UID]; !gone && discovered(d) {
			waiting = append(waiting, d)
			counts[networkOf(d)]++
		}
	}
	return waiting, counts
}

// share is how many places one network may have.
func (e *Enrolment) share() int { return max(e.config.MaxPending/shares, 1) }

// crowded are the networks of which a Device gives way to one of network n: its own
// if that has its share, else those with the most.
func crowded(counts map[string]int, n string, share int) map[string]bool {
	if counts[n] >= share {
		return map[string]bool{n: true}
	}
	most := 0
	for _, c := range counts {
		most = max(most, c)
	}
	all := make(map[string]bool)
	for n, c := range counts {
		all[n] = c == most
	}
	return all
}

// longestIdle is the Device that gives way: the one whose board has not come for
// longest. One whose board is still there gives way once in a while only, so that
// boards do not push one another out all the time.
func (e *Enrolment) longestIdle(waiting []*v1alpha1.Device, from map[string]bool) (victim *v1alpha1.Device) {
	for _, d := range waiting {
		if from[networkOf(d)] && untouched(d) && (victim == nil || lastContact(d).Before(lastContact(victim))) {
			victim = d
		}
	}
	if victim == nil || e.clock.now().Sub(lastContact(victim)) < e.idleTime() && !e.evictions.allow("") {
		return nil
	}
	return victim
}

// idleTime is after how long without contact a board is not there: its last contact
// is known to ContactInterval, and it tries again within minutes.
func (e *Enrolment) idleTime() time.Duration { return 2 * e.config.ContactInterval }

func lastContact(d *v1alpha1.Device) time.Time {
	if c := d.Status.LastContact; c != nil && c.After(d.CreationTimestamp.Time) {
		return c.Time
	}
	return d.CreationTimestamp.Time
}

func (e *Enrolment) full(n string) *Refusal {
	return refuse(TooManyPending, "", "no more boards may wait (%d in all, %d from %s): kubectl pico list --pending, then approve or deny, or raise --max-pending", e.config.MaxPending, e.share(), n)
}

// leave gives back what room reserved.
func (e *Enrolment) leave(n string) {
	e.places.mu.Lock()
	defer e.places.mu.Unlock()
	if e.places.making[n]--; e.places.making[n] <= 0 {
		delete(e.places.making, n)
	}
}

// returned forgets that a Device was evicted: it is there, or gone from view.
func (p *places) returned(d *v1alpha1.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.evicted, d.UID)
}
