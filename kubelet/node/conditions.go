// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import "github.com/picolet/picolet/board"

// Condition numbers a condition of the node.
type Condition uint8

// The conditions that a kubelet reports, in the order of kubectl describe.
const (
	NetworkUnavailable Condition = iota
	MemoryPressure
	DiskPressure
	PIDPressure
	Ready
	numConditions
)

// condition is one node condition. Its texts follow from its status alone.
type condition struct {
	status     bool
	known      bool
	transition int64 // microseconds since 1970
}

// conditionText holds the type, and reason and message by status (false, true).
// Reasons are those of pkg/kubelet/nodestatus/setters.go and, for the network,
// of the route controller.
var conditionText = [numConditions]struct {
	name            string
	reason, message [2]string
}{
	NetworkUnavailable: {"NetworkUnavailable",
		[2]string{"RouteCreated", "NoRouteCreated"},
		[2]string{"the link to the API server is up", "the link to the API server is down"}},
	MemoryPressure: {"MemoryPressure",
		[2]string{"KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"},
		[2]string{"the board's heap has room", "less than a tenth of the board's heap is free"}},
	DiskPressure: {"DiskPressure",
		[2]string{"KubeletHasNoDiskPressure", "KubeletHasDiskPressure"},
		[2]string{"the board's flash has room", "less than a tenth of the board's flash is free, or it fails to store"}},
	PIDPressure: {"PIDPressure",
		[2]string{"KubeletHasSufficientPID", "KubeletHasInsufficientPID"},
		[2]string{"the kubelet port has free connections", "all connections of the kubelet port are taken"}},
	Ready: {"Ready",
		[2]string{"KubeletNotReady", "KubeletReady"},
		[2]string{"the board is about to reset", "kubelet is posting ready status"}},
}

// String is the condition's type, "MemoryPressure".
func (c Condition) String() string { return conditionText[c].name }

// Status tells whether a condition is True.
func (n *Node) Status(c Condition) bool { return n.conditions[c].status }

// Transition is when the condition last flipped, in microseconds since 1970.
func (n *Node) Transition(c Condition) int64 { return n.conditions[c].transition }

// SetCondition sets a condition's status. Its transition time moves to micros,
// the time of day, only when the status flips or was never known. It reports
// whether it did.
func (n *Node) SetCondition(c Condition, status bool, micros int64) bool {
	old := &n.conditions[c]
	if old.known && old.status == status {
		return false
	}
	*old = condition{status: status, known: true, transition: micros}
	return true
}

// A resource is short when less than a tenth of it is free, as the kubelet's
// default eviction threshold nodefs.available<10% has it, and no longer so when
// more than 15 % is, so that a board at the edge does not flap.
func short(was bool, used, total uint64) bool {
	if total == 0 {
		return false
	}
	if used > total {
		used = total
	}
	percentFree := (total - used) * 100 / total
	return percentFree < 10 || was && percentFree <= 15
}

// Inputs are what the conditions are made of.
type Inputs struct {
	Readings     *board.Readings
	StoreFailed  bool // the last record could not be stored
	PortFull     bool // no connection of the kubelet port is free
	LinkUp       bool
	ShuttingDown bool
}

// SetConditions computes all conditions at micros, the time of day. It returns
// the set of those that flipped, a bit for each Condition.
func (n *Node) SetConditions(in Inputs, micros int64) (flipped uint8) {
	r := in.Readings
	status := [numConditions]bool{
		NetworkUnavailable: !in.LinkUp,
		MemoryPressure:     short(n.Status(MemoryPressure), r.HeapUsed, r.HeapTotal),
		DiskPressure:       in.StoreFailed || short(n.Status(DiskPressure), r.FlashUsed, r.FlashTotal),
		PIDPressure:        in.PortFull,
		Ready:              !in.ShuttingDown,
	}
	for c := range numConditions {
		if n.SetCondition(c, status[c], micros) {
			flipped |= 1 << c
		}
	}
	return flipped
}
