// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/picolet/picolet/api/v1alpha1"
)

// Limits of what a board says, in bytes: those of a node's name (kubelet), and of
// the link's hello (link/noise).
const (
	maxNodeName = 63
	maxWord     = 64
)

// Hello is a board that has proved its key, and what it says of itself.
type Hello struct {
	Key       v1alpha1.Key // Required: proved, by the link's handshake
	BoardID   string       // Required: the board's own identifier, at most 64 bytes
	NodeName  string       // Required: the node that it wishes to be
	Firmware  string       // Required: version, at most 64 bytes
	JoinToken string       // Optional [none]: a secret, see [NewJoinToken]
	Address   string       // Required: IP address it comes from

	// GatewayKey is that of the gateway's public keys by which the board knows it.
	// Optional [not noted].
	GatewayKey v1alpha1.Key
}

// String leaves the join token out, so that a log never shows it.
func (h Hello) String() string {
	return h.NodeName + " " + printable(h.BoardID) + " " + h.Key.Name()
}

// GoString is String: it keeps the join token out of %#v too.
func (h Hello) GoString() string { return h.String() }

// check refuses what cannot stand in a Device.
func (h *Hello) check() *Refusal {
	name := h.Key.Name()
	if errs := validation.IsDNS1123Subdomain(h.NodeName); len(errs) > 0 || len(h.NodeName) > maxNodeName {
		return refuse(BadHello, "", "the board calls itself %.64q: provision it again with a DNS name of 1 to %d bytes", printable(h.NodeName), maxNodeName)
	}
	if !word(h.BoardID) || !word(h.Firmware) {
		return refuse(BadHello, "", "the board with key %s gives an identifier or version that is not 1 to %d bytes of printable ASCII: update its firmware", name, maxWord)
	}
	if h.Key == (v1alpha1.Key{}) {
		return refuse(BadHello, "", "the board has no key: provision it again")
	}
	return nil
}

func word(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxWord
}

// Node is what an administrator decided about the node that a board is.
type Node struct {
	Name   string
	Labels map[string]string // topology.kubernetes.io/zone among them; not to be changed
	Taints []v1alpha1.Taint  // not to be changed

	NoTaint bool  // the board registers without the taint of all boards
	Pods    int32 // that it has room for

	// ConfigMaps are those that the board may read, and no others; not to be changed.
	ConfigMaps []v1alpha1.ConfigMapReference
}

const zoneLabel = "topology.kubernetes.io/zone"

func nodeOf(d *v1alpha1.Device) Node {
	labels := make(map[string]string, len(d.Spec.Labels)+1)
	for k, v := range d.Spec.Labels {
		labels[k] = string(v)
	}
	if d.Spec.Zone != "" {
		labels[zoneLabel] = d.Spec.Zone
	}
	return Node{Name: d.Spec.NodeName, Labels: labels, Taints: d.Spec.Taints, NoTaint: d.Spec.NoTaint, Pods: d.Spec.Pods, ConfigMaps: configMapsOf(d)}
}

// configMapsOf are the ConfigMaps of a Device's board: without a list the one that
// boards read unless they are told otherwise.
func configMapsOf(d *v1alpha1.Device) []v1alpha1.ConfigMapReference {
	if d.Spec.ConfigMaps == nil {
		return []v1alpha1.ConfigMapReference{{Namespace: "default", Name: "pico-config"}}
	}
	return d.Spec.ConfigMaps
}
