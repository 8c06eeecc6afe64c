// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// nodeMeta is what is read of a Node's metadata. A patch removes a label by null.
type nodeMeta struct {
	objectName
	Labels map[string]*string `json:"labels"`
}

// newNode is the body of create_node.
type newNode struct {
	objectKind
	Metadata nodeMeta    `json:"metadata"`
	Status   boardStatus `json:"status"`
}

// labelPatch is the body of patch_node: of a Node a board changes its labels only.
type labelPatch struct {
	Metadata nodeMeta `json:"metadata"`
}

// statusPatch is the body of patch_node_status. The first firmware sent kind,
// apiVersion and metadata along.
type statusPatch struct {
	Metadata objectName  `json:"metadata"`
	Status   boardStatus `json:"status"`
}

// boardStatus is what is read of a Node's status.
type boardStatus struct {
	reported
	DaemonEndpoints corev1.NodeDaemonEndpoints `json:"daemonEndpoints"`
}

// reported is what the API server gets of a board's word, after a check.
type reported struct {
	Capacity    resources   `json:"capacity,omitempty"`
	Allocatable resources   `json:"allocatable,omitempty"`
	Conditions  []condition `json:"conditions,omitempty"`
	NodeInfo    *nodeInfo   `json:"nodeInfo,omitempty"`
}

// A condition of a Node. A heartbeat names the type and the time alone.
type condition struct {
	Type               corev1.NodeConditionType `json:"type"`
	Status             corev1.ConditionStatus   `json:"status,omitempty"`
	LastHeartbeatTime  *metav1.Time             `json:"lastHeartbeatTime,omitempty"`
	LastTransitionTime *metav1.Time             `json:"lastTransitionTime,omitempty"`
	Reason             *string                  `json:"reason,omitempty"`
	Message            *string                  `json:"message,omitempty"`
}

// nodeInfo is a corev1.NodeSystemInfo without what no board has.
type nodeInfo struct {
	MachineID               string `json:"machineID,omitempty"`
	SystemUUID              string `json:"systemUUID,omitempty"`
	BootID                  string `json:"bootID,omitempty"`
	KernelVersion           string `json:"kernelVersion,omitempty"`
	OSImage                 string `json:"osImage,omitempty"`
	ContainerRuntimeVersion string `json:"containerRuntimeVersion,omitempty"`
	KubeletVersion          string `json:"kubeletVersion,omitempty"`
	OperatingSystem         string `json:"operatingSystem,omitempty"`
	Architecture            string `json:"architecture,omitempty"`
}

// nodeObject is a Node, or a patch of one, as the API server gets it.
type nodeObject struct {
	objectKind
	Metadata *nodeObjectMeta `json:"metadata,omitempty"`
	Spec     *nodeSpec       `json:"spec,omitempty"`
	Status   *nodeStatus     `json:"status,omitempty"`
}

type nodeObjectMeta struct {
	Name   string `json:"name,omitempty"`
	Labels labels `json:"labels,omitempty"`
}

type nodeSpec struct {
	Taints []corev1.Taint `json:"taints,omitempty"`
}

// nodeStatus is what a board reports, checked, and what the gateway sets.
type nodeStatus struct {
	reported
	Addresses        []any                       `json:"addresses,omitempty"`
	DaemonEndpoints  *corev1.NodeDaemonEndpoints `json:"daemonEndpoints,omitempty"`
	DeclaredFeatures []string                    `json:"declaredFeatures,omitempty"`
}

func (n *newNode) owner(string) (string, *refusal) {
	if r := n.is("Node", "v1"); r != nil {
		return "", r
	}
	if r := n.Metadata.in(""); r != nil {
		return "", r
	}
	return n.Metadata.own("")
}

func (n *newNode) object(o *overlay) (any, *refusal) {
	own, refused := ownLabels(n.Metadata.Labels)
	if refused != nil {
		return nil, refused
	}
	model := o.model
	if named := own[modelKey]; named != nil {
		model = *named
	}
	status, refused := n.Status.check(model, o)
	if refused != nil {
		return nil, refused
	}
	status.Conditions = withStatus(status.Conditions)
	o.putStatus(status, n.Status.port())
	return &nodeObject{
		objectKind: objectKind{"Node", "v1"},
		Metadata:   &nodeObjectMeta{Name: o.node, Labels: o.newLabels(own)},
		Spec:       &nodeSpec{Taints: o.taints(model)},
		Status:     status,
	}, nil
}

func (p *labelPatch) owner(path string) (string, *refusal) { return p.Metadata.patched(path) }

func (p *labelPatch) object(o *overlay) (any, *refusal) {
	own, refused := ownLabels(p.Metadata.Labels)
	if refused != nil {
		return nil, refused
	}
	return &nodeObject{Metadata: &nodeObjectMeta{Labels: o.putLabels(own)}}, nil
}

func (p *statusPatch) owner(path string) (string, *refusal) { return p.Metadata.patched(path) }

// object is a status; a whole one also brings the gateway's labels to a Node that
// was there before the gateway had them.
func (p *statusPatch) object(o *overlay) (any, *refusal) {
	status, refused := p.Status.check(o.model, o)
	if refused != nil {
		return nil, refused
	}
	patch := &nodeObject{Status: status}
	if status.NodeInfo != nil {
		patch.Metadata = &nodeObjectMeta{Labels: o.fixedLabels()}
	}
	o.putStatus(status, p.Status.port())
	replaceAddresses(status)
	return patch, nil
}

// port is the kubelet port that a board reports; 0 for none.
func (s *boardStatus) port() uint16 {
	port := s.DaemonEndpoints.KubeletEndpoint.Port
	if port != int32(uint16(port)) {
		return 0
	}
	return uint16(port)
}

// check is what the API server may get of a status.
func (r *reported) check(model string, o *overlay) (*nodeStatus, *refusal) {
	most := boundsOf(model)
	s := &nodeStatus{reported: reported{
		Capacity: r.Capacity.bound(most, o.Pods), Allocatable: r.Allocatable.bound(most, o.Pods), NodeInfo: r.NodeInfo.clean(),
	}}
	for _, known := range conditionTypes {
		for i := range r.Conditions {
			c := &r.Conditions[i]
			if c.Type != known {
				continue
			}
			if refused := c.check(); refused != nil {
				return nil, refused
			}
			s.Conditions = append(s.Conditions, *c)
			break
		}
	}
	return s, nil
}

// conditionTypes are those of a board's kubelet; others are no board's to send.
var conditionTypes = []corev1.NodeConditionType{
	corev1.NodeNetworkUnavailable, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady,
}

func (c *condition) check() *refusal {
	switch c.Status {
	case "": // a heartbeat
		c.LastTransitionTime, c.Reason, c.Message = nil, nil, nil
		return nil
	case corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown:
	default:
		return malformed("condition", "the status of condition %s must be True, False or Unknown", c.Type)
	}
	cleanAll(maxWord, c.Reason)
	cleanAll(maxMessage, c.Message)
	return nil
}

// withStatus leaves out heartbeats of conditions that are not there yet.
func withStatus(conditions []condition) (kept []condition) {
	for _, c := range conditions {
		if c.Status != "" {
			kept = append(kept, c)
		}
	}
	return kept
}

// runtimePrefix marks the Nodes that are boards: package enrolment goes by it.
const runtimePrefix = "picolet://"

// clean bounds the texts, and has the runtime say that the Node is a board's,
// which firmware other than ours does not.
func (i *nodeInfo) clean() *nodeInfo {
	if i == nil {
		return nil
	}
	cleanAll(maxWord, &i.MachineID, &i.SystemUUID, &i.BootID, &i.KernelVersion, &i.OSImage,
		&i.ContainerRuntimeVersion, &i.KubeletVersion, &i.OperatingSystem, &i.Architecture)
	if !strings.HasPrefix(i.ContainerRuntimeVersion, runtimePrefix) {
		i.ContainerRuntimeVersion = runtimePrefix + "unknown"
	}
	return i
}

func cleanAll(most int, texts ...*string) {
	for _, text := range texts {
		if text != nil {
			*text = clean(*text, most)
		}
	}
}

// labels of a Node; a patch removes those that are nil.
type labels map[string]*string

// modelKey is the label that names a board's model, and the key of the taint that
// keeps pods away from boards (kubelet/node, TaintKey).
const modelKey = "picolet.dev/board"

// kubeletLabels are those that a board's kubelet answers for (pkg/kubelet
// kubelet_node_status.go, initialNode), but for the zone, which is an
// administrator's word. All others are the Device's.
var kubeletLabels = []string{
	corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable, corev1.LabelInstanceTypeStable, modelKey,
	"beta.kubernetes.io/os", "beta.kubernetes.io/arch", corev1.LabelInstanceType,
}

// ownLabels are those of a board's labels that it may set.
func ownLabels(sent map[string]*string) (labels, *refusal) {
	own := labels{}
	for _, key := range kubeletLabels {
		value := sent[key]
		if value == nil {
			continue
		}
		if wrong := validation.IsValidLabelValue(*value); len(wrong) > 0 {
			return nil, refuse(http.StatusBadRequest, "label", "label %s has value %.64q: %s", key, *value, wrong[0])
		}
		own[key] = value
	}
	return own, nil
}
