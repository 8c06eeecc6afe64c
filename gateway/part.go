// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// NodePart is what the gateway sets on one node in place of its board: what an
// administrator decided about it, and what the board cannot know. It is put into each
// request of the board about its Node, and into a Node that exists when its board's
// link is up. The zero NodePart is that of a board about which nothing was decided.
type NodePart struct {
	// Labels of the Node, beside those of the board's kubelet: of two with one key,
	// these count. A label that is not here any more stays on a Node that has it.
	// Optional [none].
	Labels map[string]string

	// Taints of a Node that is made, beside that of all boards. A node may not change
	// them later (plugin NodeRestriction). Optional [none].
	Taints []corev1.Taint

	// NoTaint makes the Node without the taint of all boards,
	// picolet.dev/board:NoSchedule. Like Taints it counts for a Node that is made.
	// Optional [false].
	NoTaint bool

	// Pods is the room for pods, in capacity and allocatable. Optional [0].
	Pods int32

	// Kubelet is where the API server reaches the node's kubelet port. Optional [a
	// board on plain HTTP is at the address it connects from, with the port that it
	// reports; one on a link has no port].
	Kubelet netip.AddrPort

	// Features are status.declaredFeatures (KEP-5328). Optional [none].
	Features []string
}

// NodeSettings hold for the nodes of all boards, whatever a board reports.
type NodeSettings struct {
	// OS is the label kubernetes.io/os and nodeInfo.operatingSystem. Optional [the
	// board's].
	OS string

	// Zone is the label topology.kubernetes.io/zone where NodePart has none.
	// Optional [none].
	Zone string

	// NoHostnameLabel leaves out the label kubernetes.io/hostname. Optional [false].
	NoHostnameLabel bool

	// NoHostnameAddress leaves out the address of type Hostname, the node's name. An
	// API server that prefers it dials the name
	// (--kubelet-preferred-address-types). Optional [false].
	NoHostnameAddress bool
}

// Validate reports every field that cannot be used.
func (s *NodeSettings) Validate() error {
	var errs []error
	for name, value := range map[string]string{"OS": s.OS, "Zone": s.Zone} {
		if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
			errs = append(errs, fmt.Errorf("field %s %.64q: %s", name, value, wrong[0]))
		}
	}
	return errors.Join(errs...)
}

// overlay is all that the gateway sets on a node in a request about it.
type overlay struct {
	NodePart
	NodeSettings
	node   string
	model  string     // of the board, by its User-Agent; empty: not known
	direct netip.Addr // from which a board on plain HTTP connects
}

// Labels that keep a board from being taken for a machine: it is no target of load
// balancers (k8s.io/cloud-provider, service controller), and its absence does not
// count when evictions are slowed down (pkg/controller/nodelifecycle).
const (
	excludeBalancers  = corev1.LabelNodeExcludeBalancers
	excludeDisruption = "node.kubernetes.io/exclude-disruption"
)

// fixedLabels are those of every board's Node. The plugin NodeRestriction lets a node
// set all of them.
func (o *overlay) fixedLabels() labels {
	fixed := labels{excludeBalancers: new(string), excludeDisruption: new(string)}
	if o.OS != "" {
		fixed[corev1.LabelOSStable] = &o.OS
	}
	if _, decided := o.Labels[corev1.LabelTopologyZone]; decided || o.Zone != "" {
		fixed[corev1.LabelTopologyZone] = &o.Zone
	}
	if o.NoHostnameLabel {
		fixed[corev1.LabelHostname] = nil
	}
	for key := range fixed {
		if value, decided := o.Labels[key]; decided {
			fixed[key] = &value
		}
	}
	return fixed
}

// putLabels is own with the gateway's labels in it, for a patch.
func (o *overlay) putLabels(own labels) labels {
	if len(validation.IsValidLabelValue(o.node)) == 0 {
		own[corev1.LabelHostname] = &o.node
	}
	maps.Copy(own, o.fixedLabels())
	for key, value := range o.Labels {
		own[key] = &value
	}
	return own
}

// newLabels is putLabels for a Node that is made.
func (o *overlay) newLabels(own labels) labels {
	all := o.putLabels(own)
	maps.DeleteFunc(all, func(_ string, value *string) bool { return value == nil })
	return all
}

// unknownModel is the taint's value for a board that names no model.
const unknownModel = "unknown"

// taints of a Node that is made.
func (o *overlay) taints(model string) []corev1.Taint {
	own := corev1.Taint{Key: modelKey, Value: model, Effect: corev1.TaintEffectNoSchedule}
	if model == "" {
		own.Value = unknownModel
	}
	decided := slices.ContainsFunc(o.Taints, func(t corev1.Taint) bool { return own.MatchTaint(&t) })
	if o.NoTaint || decided {
		return o.Taints
	}
	return append([]corev1.Taint{own}, o.Taints...)
}

// putStatus puts into a status what is not the board's to say. port is the kubelet
// port that it reports.
func (o *overlay) putStatus(s *nodeStatus, port uint16) {
	at := netip.AddrPortFrom(o.direct, port)
	if o.Kubelet.IsValid() {
		at = o.Kubelet
	}
	s.Addresses = o.addresses(at.Addr())
	if at.Addr().IsValid() && at.Port() != 0 {
		s.DaemonEndpoints = &corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(at.Port())}}
	}
	s.DeclaredFeatures = o.Features
	if o.OS == "" {
		return
	}
	if s.NodeInfo == nil {
		s.NodeInfo = &nodeInfo{}
	}
	s.NodeInfo.OperatingSystem = o.OS
}

// addresses are those of status.addresses.
func (o *overlay) addresses(at netip.Addr) (list []any) {
	if at.IsValid() {
		list = append(list, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: plainAddr(at).String()})
	}
	if !o.NoHostnameAddress {
		list = append(list, corev1.NodeAddress{Type: corev1.NodeHostName, Address: o.node})
	}
	return list
}

// replaceAddresses marks the addresses of a strategic merge patch as the whole list.
// Without the mark it changes only those of the types that it names
// (k8s.io/component-helpers/node/util, PatchNodeStatus).
func replaceAddresses(s *nodeStatus) {
	s.Addresses = append(s.Addresses, map[string]string{"$patch": "replace"})
}
