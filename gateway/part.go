// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NodePart is what the gateway says of a node in place of its board: what an
// administrator decided about it, and what it cannot know. It is put into what the
// board sends about its Node, and into a Node that exists when its board's link
// comes up. The zero NodePart changes nothing.
type NodePart struct {
	// Labels of the Node, beside the board's: of two with one key, these count. A
	// label that is not here any more stays on a Node that has it. Optional [none].
	Labels map[string]string

	// Taints of a Node that is made, beside the board's. A node may not change them
	// later (plugin NodeRestriction). Optional [none].
	Taints []corev1.Taint

	// Kubelet is where the API server reaches the node's kubelet port. The address
	// becomes the only one of status.addresses: an API server prefers a host name
	// if there is one (--kubelet-preferred-address-types), and a board's leads
	// nowhere. Optional [the board's word].
	Kubelet netip.AddrPort

	// Features are status.declaredFeatures (KEP-5328). Optional [the board's word].
	Features []string
}

// A partEdit puts a part into an object of a kind.
type partEdit func(p *NodePart, object members, contentType string) *refusal

// putInto is the body of a request with the part in it. All else of the object
// stays as the board wrote it. body has passed checkBody.
func (p *NodePart) putInto(body []byte, op *operation, contentType string) ([]byte, *refusal) {
	if op.part == nil || p.isZero() {
		return body, nil
	}
	object, refused := membersOf(body)
	if refused != nil {
		return nil, refused
	}
	if refused := op.part(p, object, contentType); refused != nil {
		return nil, refused
	}
	return object.json(), nil
}

func (p *NodePart) isZero() bool {
	return len(p.Labels) == 0 && len(p.Taints) == 0 && !p.hasStatus()
}

func (p *NodePart) hasStatus() bool { return p.Kubelet.IsValid() || len(p.Features) > 0 }

func intoNewNode(p *NodePart, node members, contentType string) *refusal {
	if len(p.Labels) > 0 {
		if refused := node.within("metadata", func(metadata members) *refusal { return metadata.within("labels", p.setLabels) }); refused != nil {
			return refused
		}
	}
	if len(p.Taints) > 0 {
		if refused := node.within("spec", p.addTaints); refused != nil {
			return refused
		}
	}
	return intoStatus(p, node, contentType)
}

// intoPatch has a patch leave the labels alone that are the gateway's. The API
// server takes changes of metadata with a patch of the status too.
func intoPatch(p *NodePart, patch members, _ string) *refusal {
	return patch.ifWithin("metadata", func(metadata members) *refusal { return metadata.ifWithin("labels", p.setLabels) })
}

func intoStatusPatch(p *NodePart, patch members, contentType string) *refusal {
	if refused := intoPatch(p, patch, contentType); refused != nil {
		return refused
	}
	return intoStatus(p, patch, contentType)
}

func intoStatus(p *NodePart, object members, contentType string) *refusal {
	if !p.hasStatus() {
		return nil
	}
	return object.within("status", func(status members) *refusal {
		p.setStatus(status, contentType)
		return nil
	})
}

func (p *NodePart) setLabels(labels members) *refusal {
	for key, value := range p.Labels {
		labels.set(key, value)
	}
	return nil
}

// addTaints puts the part's taints in the place of the board's with the same key
// and effect, and behind the others.
func (p *NodePart) addTaints(spec members) *refusal {
	var taints []json.RawMessage
	if raw, ok := spec["taints"]; ok && json.Unmarshal(raw, &taints) != nil {
		return malformed("json", "spec.taints is not a list")
	}
	taints = slices.DeleteFunc(taints, func(raw json.RawMessage) bool {
		var t corev1.Taint
		return json.Unmarshal(raw, &t) == nil && slices.ContainsFunc(p.Taints, func(own corev1.Taint) bool { return own.MatchTaint(&t) })
	})
	for i := range p.Taints {
		taints = append(taints, encodeJSON(&p.Taints[i]))
	}
	spec.set("taints", taints)
	return nil
}

func (p *NodePart) setStatus(status members, contentType string) {
	if p.Kubelet.IsValid() {
		status.set("addresses", p.addresses(contentType))
		status.set("daemonEndpoints", corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(p.Kubelet.Port())}})
	}
	if len(p.Features) > 0 {
		status.set("declaredFeatures", p.Features)
	}
}

// addresses is the list of addresses. A strategic merge patch must say that it is
// the whole list, for else it changes the addresses of the types it names
// (k8s.io/component-helpers/node/util, PatchNodeStatus).
func (p *NodePart) addresses(contentType string) []any {
	list := []any{corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: p.Kubelet.Addr().Unmap().String()}}
	if contentType == strategicPatchType {
		list = append(list, map[string]string{"$patch": "replace"})
	}
	return list
}

// members are those of a JSON object, each as it was written.
type members map[string]json.RawMessage

// membersOf takes an object apart. Directives of strategic merge patches are
// refused: they could undo what is put in.
func membersOf(raw json.RawMessage) (members, *refusal) {
	var m members
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, malformed("json", "metadata, labels, spec and status must be objects, if they are there")
	}
	for name := range m {
		if strings.HasPrefix(name, "$") {
			return nil, refuse(http.StatusForbidden, "directive", "%.64q is not a board's to send here: a patch may set members and remove them by null", name)
		}
	}
	return m, nil
}

// within changes the object that is a member, which is made if it is not there.
func (m members) within(name string, change func(members) *refusal) *refusal {
	inner := members{}
	if raw, ok := m[name]; ok {
		var refused *refusal
		if inner, refused = membersOf(raw); refused != nil {
			return refused
		}
	}
	if refused := change(inner); refused != nil {
		return refused
	}
	m[name] = inner.json()
	return nil
}

// ifWithin is within for a member that may be left out.
func (m members) ifWithin(name string, change func(members) *refusal) *refusal {
	if _, ok := m[name]; !ok {
		return nil
	}
	return m.within(name, change)
}

func (m members) set(name string, value any) { m[name] = encodeJSON(value) }

func (m members) json() []byte { return encodeJSON(m) }

func encodeJSON(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, numbers, and what was JSON before
	}
	return raw
}
