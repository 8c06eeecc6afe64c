// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The benchmarks tell how long a board's requests take through the gateway to
// the real API server and back, on loopback, and what they cost on the wire.
// Each round boots a board.

// BenchmarkRegistration is from power on to a node that is there and Ready: the
// dial, the look for the node, its creation.
func BenchmarkRegistration(b *testing.B) {
	var took []time.Duration
	var look, create exchange
	for b.Loop() {
		r := newRecorder(sharedGateway(b).addr)
		began := time.Now()
		board := startBoard(b, sharedPlane(b), boardOptions{dialer: r})
		look = r.wait(b, "GET", "/nodes/"+board.name)
		create = r.wait(b, "POST", "/nodes")
		took = append(took, time.Since(began))
		if create.code != 201 {
			b.Fatalf("registration: %+v", create)
		}
		b.StopTimer()
		board.powerOff(b)
		board.deleteNode(b)
		b.StartTimer()
	}
	report(b, took, look, create)
}

// BenchmarkStatus is a PATCH of the node's status.
func BenchmarkStatus(b *testing.B) {
	benchmarkHeartbeat(b, func(board *testBoard, r *recorder) exchange {
		return r.wait(b, "PATCH", "/nodes/"+board.name+"/status")
	})
}

// BenchmarkLease is a renewal of the node's lease.
func BenchmarkLease(b *testing.B) {
	benchmarkHeartbeat(b, func(board *testBoard, r *recorder) exchange {
		return r.wait(b, "PATCH", "/leases/"+board.name)
	})
}

// benchmarkHeartbeat reboots a board in each round, after which it sends its
// status and renews its lease.
func benchmarkHeartbeat(b *testing.B, measure func(*testBoard, *recorder) exchange) {
	board := readyBoard(b, sharedPlane(b), boardOptions{})
	board.waitLease(b)
	var took []time.Duration
	var x exchange
	for b.Loop() {
		b.StopTimer()
		board.powerOff(b)
		r := newRecorder(sharedGateway(b).addr)
		board.options.dialer = r
		b.StartTimer()
		board.powerOn(b)
		x = measure(board, r)
		if x.code != 200 {
			b.Fatalf("heartbeat: %+v", x)
		}
		took = append(took, x.took)
	}
	if c := condition(board.mustNode(b), corev1.NodeReady); c.Status != corev1.ConditionTrue {
		b.Errorf("the node is %v", c)
	}
	report(b, took, x)
}

// report reports times, and the bytes of the last round.
func report(b *testing.B, took []time.Duration, last ...exchange) {
	slices.Sort(took)
	var sent, received int
	for _, x := range last {
		sent += x.sent
		received += x.received
	}
	b.ReportMetric(0, "ns/op") // a round is a boot, which nobody asked for
	b.ReportMetric(milliseconds(percentile(took, 50)), "p50-ms")
	b.ReportMetric(milliseconds(percentile(took, 99)), "p99-ms")
	b.ReportMetric(float64(sent), "sent-B")
	b.ReportMetric(float64(received), "received-B")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
