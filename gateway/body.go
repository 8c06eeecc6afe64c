// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "sigs.k8s.io/json"
)

// object is as much of a request body as the gateway looks at.
type object struct {
	kind, apiVersion              string
	name, generateName, namespace string // of metadata
	about                         objectReference
}

// objectReference is an Event's involvedObject.
type objectReference struct {
	kind, name, namespace string
}

// objectOf reads an object's fields; a field that is no string is an error.
func objectOf(fields map[string]any) (o object, err error) {
	for _, f := range []struct {
		to   *string
		path []string
	}{
		{&o.kind, []string{"kind"}},
		{&o.apiVersion, []string{"apiVersion"}},
		{&o.name, []string{"metadata", "name"}},
		{&o.generateName, []string{"metadata", "generateName"}},
		{&o.namespace, []string{"metadata", "namespace"}},
		{&o.about.kind, []string{"involvedObject", "kind"}},
		{&o.about.name, []string{"involvedObject", "name"}},
		{&o.about.namespace, []string{"involvedObject", "namespace"}},
	} {
		if *f.to, _, err = unstructured.NestedString(fields, f.path...); err != nil {
			return o, err
		}
	}
	return o, nil
}

// A bodyCheck refuses an object that is not of the wanted kind or place. node
// is the node that the path names, if it does. It returns the node that the
// object belongs to.
type bodyCheck func(o *object, node string) (string, *refusal)

// bodyTimeout bounds the time from a request's head to the end of its body.
const bodyTimeout = 15 * time.Second

// readBody reads the whole body of a request, of known and bounded length.
func readBody(w http.ResponseWriter, r *http.Request, op *operation) ([]byte, *refusal) {
	switch {
	case op.body == nil && r.ContentLength != 0:
		return nil, malformed("body", "%s takes no body", r.Method)
	case op.body == nil:
		return nil, nil
	case r.ContentLength > maxBodySize:
		refused := refuse(http.StatusRequestEntityTooLarge, "body_size", "the body is %d bytes: send %d at most", r.ContentLength, maxBodySize)
		refused.hangUp = true
		return nil, refused
	case r.ContentLength <= 0:
		return nil, malformed("body", "%s needs a body and its Content-Length", r.Method)
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // every connection of net/http has deadlines
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, malformed("body", "the body ended early or took longer than %v", bodyTimeout)
	}
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

// checkBody makes sure that the body says the same to everyone who reads it,
// that is no key is there twice, and that it is op's to send. It returns the
// node that the request is about.
func checkBody(body []byte, op *operation, node string) (string, *refusal) {
	var whole map[string]any
	twice, err := kjson.UnmarshalStrict(body, &whole, kjson.DisallowDuplicateFields)
	if err != nil || whole == nil {
		return "", malformed("json", "the body is not one JSON object")
	}
	if len(twice) > 0 {
		return "", malformed("json", "the body is ambiguous: %.128s", twice[0].Error())
	}
	o, err := objectOf(whole)
	if err != nil {
		return "", malformed("json", "a field has the wrong type: %.128s", err.Error())
	}
	return op.body(&o, node)
}

func checkNewNode(o *object, _ string) (string, *refusal) {
	if r := o.isA("Node", "v1", ""); r != nil {
		return "", r
	}
	return o.ownName("")
}

func checkNewLease(o *object, node string) (string, *refusal) {
	if r := o.isA("Lease", leaseGroup+"/v1", leaseNamespace); r != nil {
		return "", r
	}
	return o.ownName(node)
}

func checkNewEvent(o *object, _ string) (string, *refusal) {
	if r := o.isA("Event", "v1", eventNamespace); r != nil {
		return "", r
	}
	if o.about.kind != "Node" || o.about.name == "" || o.about.namespace != "" {
		return "", refuse(http.StatusForbidden, "event", "a board may send Events about its own Node only: set involvedObject kind Node and the node's name")
	}
	return o.about.name, nil
}

// checkOwnObject looks at a patch: it may leave the name out, not change it.
func checkOwnObject(o *object, node string) (string, *refusal) {
	if o.name != "" && o.name != node || o.generateName != "" {
		return "", refuse(http.StatusForbidden, "other_node", "the patch names %.64q, the path %q", o.name, node)
	}
	return node, nil
}

// isA refuses any kind but the one of the path. Kind and version may be left
// out, as the API server allows.
func (o *object) isA(kind, apiVersion, namespace string) *refusal {
	if o.kind != "" && o.kind != kind || o.apiVersion != "" && o.apiVersion != apiVersion ||
		o.namespace != "" && o.namespace != namespace {
		return malformed("kind", "the body must be a %s of %s in namespace %q", kind, apiVersion, namespace)
	}
	return nil
}

// ownName is the object's name, which must be node's where the path names one.
func (o *object) ownName(node string) (string, *refusal) {
	name := o.name
	switch {
	case name == "" || o.generateName != "":
		return "", malformed("name", "the object needs metadata.name, the node's own, and no generateName")
	case node != "" && name != node:
		return "", refuse(http.StatusForbidden, "other_node", "the object is named %.64q, the path names %q", name, node)
	}
	return name, nil
}
