// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"runtime"
	"testing"
	"unsafe"
)

// The promise of the README: a kubelet with all its buffers in under 32 KB.
const maxKubelet = 32 << 10

// heapOf measures what n kubelets with default configuration keep on the heap.
func heapOf(t testing.TB, n int) uint64 {
	keep := make([]*Kubelet, n)
	c := newTestBoard().config()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range keep {
		keep[i] = new(Kubelet)
		if err := keep[i].Configure(c); err != nil {
			t.Fatal(err)
		}
		keep[i].Start(0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(keep)
	return (after.HeapAlloc - before.HeapAlloc) / uint64(n)
}

func TestHeapOfOneKubelet(t *testing.T) {
	got := heapOf(t, 200)
	t.Logf("%d bytes on the heap, of which %d in the struct", got, unsafe.Sizeof(Kubelet{}))
	if got > maxKubelet {
		t.Errorf("a kubelet takes %d bytes, want at most %d", got, maxKubelet)
	}
}

func BenchmarkHeapOfOneKubelet(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(heapOf(b, 200)), "heap-B/kubelet")
	}
}
