// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// newEvent is the body of create_event.
type newEvent struct {
	objectKind
	Metadata       objectName             `json:"metadata"`
	InvolvedObject corev1.ObjectReference `json:"involvedObject"`
	Reason         string                 `json:"reason"`
	Message        string                 `json:"message"`
	Type           string                 `json:"type"`
	Count          int32                  `json:"count"`
	FirstTimestamp metav1.Time            `json:"firstTimestamp"`
	LastTimestamp  metav1.Time            `json:"lastTimestamp"`
}

func (e *newEvent) owner(string) (string, *refusal) {
	if r := e.is("Event", "v1"); r != nil {
		return "", r
	}
	if r := e.Metadata.in(eventNamespace); r != nil {
		return "", r
	}
	about := e.InvolvedObject
	if about.Kind != "Node" || about.Name == "" || about.Namespace != "" {
		return "", refuse(http.StatusForbidden, "event", "a board may send Events about its own Node only: set involvedObject kind Node and the node's name")
	}
	return about.Name, nil
}

// eventSource is the component that sends a board's Events.
const eventSource = "kubelet"

// object is an Event about the own Node, with the node's name for its UID, by which
// kubectl describe finds it (pkg/kubelet, nodeRef).
func (e *newEvent) object(o *overlay) (any, *refusal) {
	name := e.Metadata.Name
	switch {
	case !strings.HasPrefix(name, o.node+".") || len(validation.NameIsDNSSubdomain(name, false)) > 0 || e.Metadata.GenerateName != "":
		return nil, malformed("event", "the Event is named %.64q: name it %s. and a number, for example", name, o.node)
	case e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning:
		return nil, malformed("event", "the Event's type must be Normal or Warning")
	case e.Count < 0:
		return nil, malformed("event", "the Event's count is %d: give 0 or more", e.Count)
	}
	return &corev1.Event{
		TypeMeta:            metav1.TypeMeta{Kind: "Event", APIVersion: "v1"},
		ObjectMeta:          metav1.ObjectMeta{Name: name, Namespace: eventNamespace},
		InvolvedObject:      corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: o.node, UID: types.UID(o.node)},
		Reason:              clean(e.Reason, maxWord),
		Message:             clean(e.Message, maxMessage),
		Type:                e.Type,
		Count:               e.Count,
		FirstTimestamp:      e.FirstTimestamp,
		LastTimestamp:       e.LastTimestamp,
		Source:              corev1.EventSource{Component: eventSource, Host: o.node},
		ReportingController: eventSource,
		ReportingInstance:   o.node,
	}, nil
}
