// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
)

// A payload is the body of one operation, decoded. Its type names the members that
// a board may send. What it does not name is dropped, not refused: older and newer
// firmware sends more, and dropped members do no harm, because nothing of the body
// is forwarded. What it names and cannot be used is refused.
type payload interface {
	// owner is the node that the object belongs to. path is the node that the path
	// names, or empty.
	owner(path string) (string, *refusal)
	// object is what the API server gets, to be encoded as JSON: checked values of
	// the board, and those of o in their place or beside them.
	object(o *overlay) (any, *refusal)
}

// objectKind is of every object. It may be left out, as the API server allows.
type objectKind struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
}

// objectName is what is read of metadata to find out whose the object is.
type objectName struct {
	Name         string `json:"name"`
	GenerateName string `json:"generateName"`
	Namespace    string `json:"namespace"`
}

// bodyTimeout bounds the time from a request's head to the end of its body.
const bodyTimeout = 15 * time.Second

// readBody reads the whole body of a request, of known and bounded length.
func readBody(w http.ResponseWriter, r *http.Request, op *operation) ([]byte, *refusal) {
	switch {
	case op.body == nil && r.ContentLength != 0:
		return nil, malformed("body", "%s takes no body", r.Method)
	case op.body == nil:
		return nil, nil
	case r.ContentLength > int64(op.maxBody):
		refused := refuse(http.StatusRequestEntityTooLarge, "body_size", "the body is %d bytes: send %d at most", r.ContentLength, op.maxBody)
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

// decode reads the call's body, and finds out whose it is.
func (c *call) decode(body []byte) (refused *refusal) {
	c.body = c.op.body()
	if refused = decodeBody(body, c.body); refused != nil {
		return refused
	}
	c.node, refused = c.body.owner(c.node)
	return refused
}

// decodeBody decodes a body. It must say the same to everyone who reads it, so no
// member may be there twice.
func decodeBody(body []byte, into payload) *refusal {
	twice, err := kjson.UnmarshalStrict(body, into, kjson.DisallowDuplicateFields)
	switch {
	case err != nil:
		return malformed("json", "the body cannot be used: %.128s", err.Error())
	case !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")): // null
		return malformed("json", "the body is not one JSON object")
	case len(twice) > 0:
		return malformed("json", "the body is ambiguous: %.128s", twice[0].Error())
	}
	return nil
}

// is refuses any kind but that of the path.
func (k objectKind) is(kind, apiVersion string) *refusal {
	if k.Kind != "" && k.Kind != kind || k.APIVersion != "" && k.APIVersion != apiVersion {
		return malformed("kind", "the body must be a %s of %s", kind, apiVersion)
	}
	return nil
}

// in refuses any namespace but that of the path.
func (m *objectName) in(namespace string) *refusal {
	if m.Namespace != "" && m.Namespace != namespace {
		return malformed("kind", "the object must be in namespace %q", namespace)
	}
	return nil
}

// own is the object's name, which must be node's where the path names one.
func (m *objectName) own(node string) (string, *refusal) {
	switch {
	case m.Name == "" || m.GenerateName != "":
		return "", malformed("name", "the object needs metadata.name, the node's own, and no generateName")
	case node != "" && m.Name != node:
		return "", refuse(http.StatusForbidden, "other_node", "the object is named %.64q, the path names %q", m.Name, node)
	}
	return m.Name, nil
}

// patched is own for a patch, which may leave the name out.
func (m *objectName) patched(node string) (string, *refusal) {
	if m.Name != "" && m.Name != node || m.GenerateName != "" {
		return "", refuse(http.StatusForbidden, "other_node", "the patch names %.64q, the path %q", m.Name, node)
	}
	return node, nil
}

// Bounds of a board's texts, in bytes. What is longer is cut.
const (
	maxWord    = 128  // a reason; a fact of nodeInfo, as the kubelet bounds them
	maxMessage = 1024 // of a condition or an Event, as the API server bounds the latter
)

// clean is a board's text as far as it is printable and within bounds: kubectl
// prints it on a terminal.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func encodeJSON(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings, numbers and times
	}
	return raw
}
