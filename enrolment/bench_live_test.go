// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// BenchmarkDecide is an approved board that comes and goes: two writes to a real API
// server.
func BenchmarkDecide(b *testing.B) {
	p := livePlane(b)
	g := p.gate(b, nil)
	h := newHello(b)
	name := p.approved(b, g, h)
	p.has(b, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	b.ReportAllocs()
	for b.Loop() {
		g.clock.advance(contactLimit.every)
		hold, err := g.Decide(b.Context(), h)
		if err != nil {
			b.Fatal(err)
		}
		hold.Release()
	}
}

// BenchmarkDecideRefused is a board that was revoked and knocks on: no request to the
// API server.
func BenchmarkDecideRefused(b *testing.B) {
	p := livePlane(b)
	g := p.gate(b, nil)
	h := newHello(b)
	name := p.approved(b, g, h)
	p.set(b, name, `{"approved":false}`)
	g.sees(b, name, func(d *v1alpha1.Device) bool { return !d.IsApproved() })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Decide(b.Context(), h); err == nil {
			b.Fatal("let in")
		}
	}
}

// BenchmarkHeard is what each read from a board costs.
func BenchmarkHeard(b *testing.B) {
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		b.Fatal(err)
	}
	h, r := e.take(device(1, "a", true), Hello{})
	if r != nil {
		b.Fatal(r)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Heard()
	}
}
