// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

func picoNode() *Node {
	n := &Node{Spec: Spec{
		Name: "pico-1", OS: "linux", Arch: "arm", InstanceType: "rp2040-pico", CPU: "1", Memory: "256Ki",
		Port: 10250, Version: "v1.37.2",
		Facts: board.Facts{
			Model: "rp2040", ID: "e6614103e7452f2f", SystemUUID: "2f4c37c2-6d3f-5b7e-8e35-8d7f1c0a9b11",
			BootID: "9d3a52cd-5f3a-4f8e-b0f8-2c6f37f9a4a1", KernelVersion: "tinygo-0.41", OSImage: "picolet (Raspberry Pi Pico W)",
		},
	}}
	n.SetAddress("192.168.178.42")
	return n
}

func healthy() Inputs {
	return Inputs{Readings: &board.Readings{HeapUsed: 60, HeapTotal: 232, FlashUsed: 700, FlashTotal: 2048}, LinkUp: true}
}

func micros(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func write(t *testing.T, f func(w *jsonstream.Writer)) []byte {
	t.Helper()
	var w jsonstream.Writer
	w.Reset(make([]byte, 0, 4096))
	f(&w)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// NodeSystemInfo's fields are required: all ten must be there, even if empty.
func TestNodeInfoHasAllFields(t *testing.T) {
	t.Parallel()
	n := &Node{Spec: Spec{Name: "a"}}
	var got struct {
		Status struct{ NodeInfo map[string]string }
	}
	if err := json.Unmarshal(write(t, func(w *jsonstream.Writer) { n.WriteStatusPatch(w, 0) }), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Status.NodeInfo) != 10 {
		t.Errorf("nodeInfo has %d fields: %v", len(got.Status.NodeInfo), got.Status.NodeInfo)
	}
}

// A status patch with anything beside the status is taken for a patch of the
// whole node, and the heartbeat is lost.
func TestStatusPatchIsStatusAlone(t *testing.T) {
	t.Parallel()
	n := picoNode()
	n.SetConditions(healthy(), 1)
	var got map[string]json.RawMessage
	if err := json.Unmarshal(write(t, func(w *jsonstream.Writer) { n.WriteStatusPatch(w, 1) }), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got["status"] == nil {
		t.Errorf("the patch has %d members", len(got))
	}
}

func TestPressureHasHysteresis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		was  bool
		used uint64
		want bool
	}{
		{false, 0, false}, {false, 90, false}, {false, 91, true}, {false, 100, true}, {false, 1000, true},
		{true, 91, true}, {true, 85, true}, {true, 84, false}, {true, 0, false},
	} {
		if got := short(test.was, test.used, 100); got != test.want {
			t.Errorf("short(%v, %d of 100) = %v", test.was, test.used, got)
		}
	}
	if short(true, 5, 0) {
		t.Error("a total that is not known is short")
	}
}

func TestSetAddress(t *testing.T) {
	t.Parallel()
	n := Node{Spec: Spec{CPU: "1", Memory: "1"}}
	for _, step := range []struct {
		ip      string
		changed bool
		now     string
	}{
		{"", false, ""}, {"10.0.0.1", true, "10.0.0.1"}, {"10.0.0.1", false, "10.0.0.1"},
		{strings.Repeat("1", 46), false, "10.0.0.1"}, {"fe80::1", true, "fe80::1"}, {"", true, ""},
	} {
		if got := n.SetAddress(step.ip); got != step.changed || string(n.Address()) != step.now {
			t.Errorf("SetAddress(%q) = %v, address %q", step.ip, got, n.Address())
		}
	}
	if got := write(t, func(w *jsonstream.Writer) { n.WriteStatusPatch(w, 1) }); bytes.Contains(got, []byte("InternalIP")) || !bytes.Contains(got, []byte(`"Hostname"`)) {
		t.Errorf("without address: %s", got)
	}
}

func TestAllocatesNothing(t *testing.T) {
	n, buf := picoNode(), make([]byte, 0, 4096)
	w := new(jsonstream.Writer)
	in := healthy()
	if got := testing.AllocsPerRun(100, func() {
		n.SetConditions(in, 1)
		w.Reset(buf)
		n.WriteNode(w, 1)
		w.Reset(buf)
		n.WriteStatusPatch(w, 1)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
