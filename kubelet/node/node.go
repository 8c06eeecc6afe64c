// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node writes what a kubelet says of its node: the Node object that it
// registers and the status that it keeps posting. A Node holds the facts, the
// setters tell whether one changed something worth sending, and the append
// methods write JSON into a buffer of the caller's. It sends nothing and
// decides nothing about when.
package node

import (
	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/text"
)

// Label is a node label.
type Label struct{ Key, Value string }

// TaintKey is the key of the taint that keeps ordinary pods away from boards;
// its value is the board's model.
const TaintKey = "picolet.dev/board"

// Spec is what a Node says from registration on. Strings are kept, not copied.
type Spec struct {
	Name         string
	OS           string // label kubernetes.io/os
	Arch         string // label kubernetes.io/arch
	InstanceType string
	Labels       []Label
	CPU, Memory  string // Kubernetes quantities
	NoTaint      bool
	Port         int
	Version      string // nodeInfo.kubeletVersion
	Facts        board.Facts
}

// Node is the state of one Node object.
type Node struct {
	Spec       Spec
	conditions [numConditions]condition
	address    [45]byte // the longest text of an IPv6 address
	addressLen uint8
}

// SetAddress sets status.addresses' InternalIP, "" for none. It reports
// whether that is a change; a text longer than any IP address is none.
func (n *Node) SetAddress(ip string) bool {
	if len(ip) > len(n.address) || ip == text.View(n.address[:n.addressLen]) {
		return false
	}
	n.addressLen = uint8(copy(n.address[:], ip))
	return true
}

// Address is the InternalIP, empty if there is none.
func (n *Node) Address() []byte { return n.address[:n.addressLen] }

// standardLabels is how many labels a node carries beside those of one's own.
const standardLabels = 5

// NumLabels is how many labels the node must carry.
func (n *Node) NumLabels() int { return standardLabels + len(n.Spec.Labels) }

// Label is one of them; i is less than NumLabels.
func (n *Node) Label(i int) Label {
	s := &n.Spec
	switch i {
	case 0:
		return Label{"kubernetes.io/hostname", s.Name}
	case 1:
		return Label{"kubernetes.io/os", s.OS}
	case 2:
		return Label{"kubernetes.io/arch", s.Arch}
	case 3:
		return Label{"node.kubernetes.io/instance-type", s.InstanceType}
	case 4:
		return Label{TaintKey, s.Facts.Model}
	}
	return s.Labels[i-standardLabels]
}
