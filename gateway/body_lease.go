// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// leaseMeta is what is read of a Lease's metadata. The version makes a write a
// conflict when somebody else wrote in between.
type leaseMeta struct {
	objectName
	ResourceVersion string                  `json:"resourceVersion"`
	Owners          []metav1.OwnerReference `json:"ownerReferences"`
}

// leaseSpec holds the five fields of a node's Lease (pkg/kubelet/util/nodelease.go
// and k8s.io/component-helpers/apimachinery/lease).
type leaseSpec struct {
	HolderIdentity       *string           `json:"holderIdentity,omitempty"`
	LeaseDurationSeconds *int32            `json:"leaseDurationSeconds,omitempty"`
	AcquireTime          *metav1.MicroTime `json:"acquireTime,omitempty"`
	RenewTime            *metav1.MicroTime `json:"renewTime,omitempty"`
	LeaseTransitions     *int32            `json:"leaseTransitions,omitempty"`
}

// wholeLease is the body of create_lease and update_lease.
type wholeLease struct {
	objectKind
	Metadata leaseMeta `json:"metadata"`
	Spec     leaseSpec `json:"spec"`
}

// leasePatch is the body of patch_lease.
type leasePatch struct {
	Metadata leaseMeta `json:"metadata"`
	Spec     leaseSpec `json:"spec"`
}

// leaseObject is a Lease, or a patch of one, as the API server gets it.
type leaseObject struct {
	objectKind
	Metadata leaseObjectMeta `json:"metadata"`
	Spec     leaseSpec       `json:"spec"`
}

type leaseObjectMeta struct {
	Name            string                  `json:"name,omitempty"`
	Namespace       string                  `json:"namespace,omitempty"`
	ResourceVersion string                  `json:"resourceVersion,omitempty"`
	Owners          []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}

func (l *wholeLease) owner(path string) (string, *refusal) {
	if r := l.is("Lease", leaseGroup+"/v1"); r != nil {
		return "", r
	}
	if r := l.Metadata.in(leaseNamespace); r != nil {
		return "", r
	}
	return l.Metadata.own(path)
}

func (l *wholeLease) object(o *overlay) (any, *refusal) {
	l.Spec.HolderIdentity = &o.node
	object, refused := newLeaseObject(&l.Metadata, &l.Spec, o.node)
	if refused != nil {
		return nil, refused
	}
	object.objectKind = objectKind{"Lease", leaseGroup + "/v1"}
	object.Metadata.Name, object.Metadata.Namespace = o.node, leaseNamespace
	return object, nil
}

func (l *leasePatch) owner(path string) (string, *refusal) { return l.Metadata.patched(path) }

func (l *leasePatch) object(o *overlay) (any, *refusal) {
	if l.Spec.HolderIdentity != nil {
		l.Spec.HolderIdentity = &o.node
	}
	return newLeaseObject(&l.Metadata, &l.Spec, o.node)
}

// maxLeaseSeconds bounds the time for which a silent node counts as being there.
const maxLeaseSeconds = 3600

func newLeaseObject(m *leaseMeta, s *leaseSpec, node string) (*leaseObject, *refusal) {
	if d := s.LeaseDurationSeconds; d != nil && (*d < 1 || *d > maxLeaseSeconds) {
		return nil, malformed("lease", "leaseDurationSeconds is %d: give 1 to %d", *d, maxLeaseSeconds)
	}
	if n := s.LeaseTransitions; n != nil && *n < 0 {
		return nil, malformed("lease", "leaseTransitions is %d: give 0 or more", *n)
	}
	if v := m.ResourceVersion; v != "" && !isVersion(v) {
		return nil, malformed("lease", "resourceVersion %.32q is not a number", v)
	}
	return &leaseObject{Metadata: leaseObjectMeta{ResourceVersion: m.ResourceVersion, Owners: ownNode(m.Owners, node)}, Spec: *s}, nil
}

// maxUID bounds a UID, in bytes: one of RFC 4122 has 36.
const maxUID = 64

// ownNode is the first reference to the own Node, and nothing of it but what makes
// it one.
func ownNode(owners []metav1.OwnerReference, node string) []metav1.OwnerReference {
	for _, o := range owners {
		if o.Kind == "Node" && o.Name == node && o.APIVersion == "v1" && o.UID != "" {
			return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(clean(string(o.UID), maxUID))}}
		}
	}
	return nil
}
