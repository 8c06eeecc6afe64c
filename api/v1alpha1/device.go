// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Device is a board that holds a private key, and what a cluster's
// administrator decided about it. Its name is the first 16 hexadecimal digits of
// the SHA-256 hash of its key: one key is one Device, whatever the board calls
// itself.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=picolet
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Approved",type=boolean,JSONPath=`.spec.approved`
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Board",type=string,JSONPath=`.status.board`
// +kubebuilder:printcolumn:name="Firmware",type=string,JSONPath=`.status.firmwareVersion`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Enrolled")].reason`
// +kubebuilder:printcolumn:name="Address",type=string,priority=1,JSONPath=`.status.address`
// +kubebuilder:printcolumn:name="Gateway",type=string,priority=1,JSONPath=`.status.gateway`
// +kubebuilder:printcolumn:name="Gateway key",type=string,priority=1,JSONPath=`.status.gatewayKey`
// +kubebuilder:printcolumn:name="Last contact",type=date,priority=1,JSONPath=`.status.lastContact`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{16}$')",message="the name of a Device is the first 16 hexadecimal digits of the SHA-256 hash of its key"
type Device struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what an administrator decides about the board.
	//
	// +required
	Spec DeviceSpec `json:"spec"`
	// Status is what gateways saw of the board. Its identifier and its firmware's
	// version are the board's own word.
	//
	// +optional
	Status DeviceStatus `json:"status,omitempty"`
}

// DeviceSpec is what an administrator decides about a board.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.approved) && self.approved) || has(self.nodeName)",message="an approved Device needs a nodeName",fieldPath=".nodeName"
type DeviceSpec struct {
	// PublicKey is the board's X25519 key: 32 bytes in standard base64 with
	// padding (RFC 4648, section 4). It never changes: another key is another
	// Device.
	//
	// +required
	// +kubebuilder:validation:MaxLength=44
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$')",message="must be 32 bytes in standard base64, as picolet provision prints them"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Device's key does not change: delete this Device, and the board with the new key shows up by itself"
	PublicKey string `json:"publicKey"`

	// NodeName is the name of the node that the board is. At first it is the name
	// that the board wished. One approved Device has it: of two, the one that had
	// it first.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') && !self.contains('..') && !self.contains('.-') && !self.contains('-.')",message="must be a DNS-1123 subdomain of at most 63 bytes: lower case letters, digits, '-' and '.', such as pico-1"
	NodeName string `json:"nodeName,omitempty"`

	// Approved lets the board in if true. False keeps it out, from the same second
	// on if it was in. Without it the board waits for a decision.
	//
	// +optional
	Approved *bool `json:"approved,omitempty"`

	// Labels of the node. Those with which Kubernetes restricts what nodes may say of
	// themselves are refused.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="a key must be a qualified name: letters, digits, '-', '_' and '.', and before it, if anything, a DNS name and '/'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.labelValue().validate(self[k]).hasValue())",message="a value must be at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/') || k.matches('^([^/]*[.])?(node|kubelet)[.]kubernetes[.]io/'))",message="a node may set no label of kubernetes.io and k8s.io, except node.kubernetes.io and kubelet.kubernetes.io; for topology.kubernetes.io/zone use spec.zone"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// Taints of the node, set when it registers.
	//
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MaxItems=8
	Taints []Taint `json:"taints,omitempty"`

	// Zone that the node is in: its label topology.kubernetes.io/zone.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
	Zone string `json:"zone,omitempty"`

	// NoTaint leaves out the taint picolet.dev/board:NoSchedule, which otherwise
	// keeps pods without a toleration off the node. Only an administrator can leave
	// it out; a board cannot.
	//
	// +optional
	NoTaint bool `json:"noTaint,omitempty"`

	// Pods is the number of pods that the node has room for: its capacity is never
	// more, whatever the board reports. Without it there is room for none.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=110
	Pods int32 `json:"pods,omitempty"`

	// ConfigMaps are those that the board may read, and no others. Without the list
	// it may read default/pico-config; with an empty list it may read none. The
	// gateway needs the right to read each of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	ConfigMaps []ConfigMapReference `json:"configMaps,omitzero"`
}

// ConfigMapReference names a ConfigMap.
type ConfigMapReference struct {
	// Namespace of the ConfigMap.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace: lower case letters, digits and '-'"
	Namespace string `json:"namespace"`
	// Name of the ConfigMap.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a ConfigMap: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// Taint keeps pods off the node that do not tolerate it.
type Taint struct {
	// Key of the taint.
	//
	// +required
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="must be a qualified name: letters, digits, '-', '_' and '.', and before it, if anything, a DNS name and '/'"
	Key string `json:"key"`
	// Value of the taint.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
	Value string `json:"value,omitempty"`
	// Effect on pods that do not tolerate the taint.
	//
	// +required
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect"`
}

// DeviceStatus is what gateways saw of a board.
type DeviceStatus struct {
	// Conditions are Approved, Enrolled and Connected. Approved repeats
	// spec.approved; Enrolled is true if the board may be its node, which another
	// Device or machine can prevent; Connected is true while a gateway has a link
	// with the board.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Board is the board's own identifier.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Board string `json:"board,omitempty"`

	// FirmwareVersion that the board said at its last contact.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	FirmwareVersion string `json:"firmwareVersion,omitempty"`

	// Address from which the board last reached a gateway.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`

	// Gateway that the board last reached: its name, and after the '_' random
	// characters, by which its process differs from others of that name.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Gateway string `json:"gateway,omitempty"`

	// GatewayKey is the fingerprint of the gateway's key that the board has stored last,
	// or used last: 16 hexadecimal digits, as picolet gateway key list shows them.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{16}$')",message="must be 16 hexadecimal digits"
	GatewayKey string `json:"gatewayKey,omitempty"`

	// LastContact is when the board was last heard, to some minutes.
	//
	// +optional
	LastContact *metav1.Time `json:"lastContact,omitempty"`
}

// DeviceList is a list of Devices.
//
// +kubebuilder:object:root=true
type DeviceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Device `json:"items"`
}

// Types of a Device's conditions.
const (
	// Approved: an administrator or a join token let the board in. It says what
	// spec.approved says, for those who wait for a condition.
	Approved = "Approved"
	// Enrolled: the board may be the node that its Device names. If not, the reason
	// is one of package enrolment and the message names the command that helps.
	Enrolled = "Enrolled"
	// Connected: a gateway has a link with the board.
	Connected = "Connected"
)

// IsApproved tells whether an administrator, or a join token, let the board in.
func (d *Device) IsApproved() bool { return d.Spec.Approved != nil && *d.Spec.Approved }

// IsPending tells whether nobody decided on the board yet.
func (d *Device) IsPending() bool { return d.Spec.Approved == nil }
