// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/configmap"
)

// tenKeys is a watch event of a ConfigMap of 10 keys.
func tenKeys() []byte {
	data := map[string]string{
		"memory_values": "0=0x42,1=0x43,2=0x44,3=300,1024=1",
		"note":          "not for the board",
	}
	for n := range 8 {
		data[fmt.Sprint("pin_", n)] = "PWM:128"
	}
	return []byte(watchEvent("MODIFIED", configMap("1234567", data)))
}

// oneMegabyte is a watch event that is refused.
func oneMegabyte() []byte {
	return []byte(watchEvent("MODIFIED", configMap("7", map[string]string{"memory_values": strings.Repeat("0=0x42,", 1<<20/7)})))
}

func TestAllocations(t *testing.T) {
	var (
		staged configmap.Staged
		d      configmap.Decoder
		c      configmap.Config
		record = make([]byte, 0, configmap.RecordSize)
		text   = make([]byte, 0, configmap.MaxRejectionText)
	)
	once := func(body []byte, want configmap.Event) func() {
		return func() {
			d.Reset(configmap.Watch, namespace, name, &staged)
			if ev, _, err := d.Feed(body); ev != want || err != nil {
				t.Fatalf("event %s, error %v, want %s", eventNames[ev], err, eventNames[want])
			}
		}
	}
	decodeTenKeys := once(tenKeys(), configmap.Applied)
	tests := []struct {
		name string
		f    func()
	}{
		{"ten keys", decodeTenKeys},
		{"refused", once(oneMegabyte(), configmap.Refused)},
		{"apply", func() { decodeTenKeys(); c = configmap.Config{}; c.Apply(&staged) }},
		{"apply unchanged", func() { c.Apply(&staged) }},
		{"record", func() {
			b, err := c.AppendBinary(record)
			if err != nil || c.UnmarshalBinary(b) != nil {
				t.Fatal("the record is wrong")
			}
		}},
		{"reject a pin", func() {
			decodeTenKeys()
			staged.RejectPin(1, configmap.ReasonNoPin)
			for i := range staged.Rejections() {
				text = staged.Rejections()[i].AppendText(text[:0])
			}
		}},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(10, tt.f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

func benchmarkDecoder(b *testing.B, body []byte, want configmap.Event) {
	var (
		staged configmap.Staged
		d      configmap.Decoder
	)
	d.Reset(configmap.Watch, namespace, name, &staged)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if ev, _, err := d.Feed(body); ev != want || err != nil {
			b.Fatalf("event %s, error %v", eventNames[ev], err)
		}
		if _, _, err := d.Feed([]byte("\n")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeTenKeys(b *testing.B) { benchmarkDecoder(b, tenKeys(), configmap.Applied) }

func BenchmarkDecodeRefuse1MB(b *testing.B) { benchmarkDecoder(b, oneMegabyte(), configmap.Refused) }

func BenchmarkApplyUnchanged(b *testing.B) {
	var (
		staged configmap.Staged
		d      configmap.Decoder
		c      configmap.Config
	)
	d.Reset(configmap.Watch, namespace, name, &staged)
	if ev, _, err := d.Feed(tenKeys()); ev != configmap.Applied || err != nil {
		b.Fatalf("event %s, error %v", eventNames[ev], err)
	}
	c.Apply(&staged)
	b.ReportAllocs()
	for b.Loop() {
		if c.Apply(&staged) {
			b.Fatal("the same is a change")
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	var c configmap.Config
	record := make([]byte, 0, configmap.RecordSize)
	b.ReportAllocs()
	for b.Loop() {
		p, err := c.AppendBinary(record)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.UnmarshalBinary(p); err != nil {
			b.Fatal(err)
		}
	}
}
