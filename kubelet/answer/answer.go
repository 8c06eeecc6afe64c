// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package answer picks what a kubelet needs out of the API server's answers:
// of a Node its UID, labels, boot ID and extended resources, of a Lease its
// version, holder and owners, of a Status its reason and message. It reads
// JSON of any size in constant memory and keeps nothing else of it; whether an
// answer means success is for the HTTP status to say.
package answer

import (
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/kubelet/text"
)

// MaxStale is how many extended resources one answer names; more are dropped
// in the next round.
const MaxStale = 4

// Text is a string of at most 63 bytes. What is longer is cut.
type Text struct {
	n   uint8
	buf [63]byte
}

// Bytes is the text, valid until the answer is reset.
func (t *Text) Bytes() []byte { return t.buf[:t.n] }

func (t *Text) set(b []byte) { t.n = uint8(copy(t.buf[:], b)) }

// maxMessage is how much of a Status' message is kept.
const maxMessage = 127

// Answer is filled by Feed. Its zero value is not ready; see Reset.
type Answer struct {
	UID       Text // metadata.uid
	Version   Text // metadata.resourceVersion
	Stale     [MaxStale]Text
	StaleLen  int    // how many of Stale are set
	Owners    int    // metadata.ownerReferences
	OwnerUID  Text   // uid of the last owner
	OtherBoot bool   // status.nodeInfo.bootID is not empty and not ours
	HolderIs  bool   // spec.holderIdentity is the node's name
	Exists    bool   // reason is AlreadyExists
	Malformed bool   // not JSON
	labels    uint32 // bit i: the node's label i has its value

	messageLen uint8
	message    [maxMessage]byte

	scan  jsonstream.Scanner
	node  *node.Node
	path  [4]field // what the keys at depths 1 to 4 are
	label int8     // which of the node's labels the value belongs to, -1: none
	parts bool     // the last token was a part of a long key or string
}

// Reset makes a ready for the next answer about n.
func (a *Answer) Reset(n *node.Node) {
	*a = Answer{node: n, label: -1}
	a.scan.Reset()
}

// SetVersion takes a version that came beside the body, as an entity tag; an
// empty one is none.
func (a *Answer) SetVersion(etag []byte) {
	if len(etag) > 0 {
		a.Version.set(etag)
	}
}

// LabelsRight tells whether all labels that the node must carry were there.
func (a *Answer) LabelsRight() bool { return a.labels == 1<<a.node.NumLabels()-1 }

// Message is the message of a Status, cut at 127 bytes.
func (a *Answer) Message() []byte { return a.message[:a.messageLen] }

// field is a key that matters, at any depth.
type field uint8

const (
	other field = iota
	metadata
	spec
	status
	message
	reason
	uid
	resourceVersion
	labels
	ownerReferences
	holderIdentity
	capacity
	nodeInfo
	bootID
)

func fieldOf(key []byte) field {
	switch text.View(key) {
	case "metadata":
		return metadata
	case "spec":
		return spec
	case "status":
		return status
	case "message":
		return message
	case "reason":
		return reason
	case "uid":
		return uid
	case "resourceVersion":
		return resourceVersion
	case "labels":
		return labels
	case "ownerReferences":
		return ownerReferences
	case "holderIdentity":
		return holderIdentity
	case "capacity":
		return capacity
	case "nodeInfo":
		return nodeInfo
	case "bootID":
		return bootID
	}
	return other
}

// Feed reads the next piece of the body. After the first mistake in the JSON
// it reads no more and sets Malformed.
func (a *Answer) Feed(p []byte) {
	for len(p) > 0 && !a.Malformed {
		tok, n, err := a.scan.Next(p)
		p = p[n:]
		switch {
		case err != nil:
			a.Malformed = true
		case tok.Kind == jsonstream.NeedMore:
			return
		case tok.Kind == jsonstream.Key:
			a.key(tok, tok.More || a.parts)
		case tok.Kind == jsonstream.String:
			a.value(tok, tok.More || a.parts)
		}
		a.parts = tok.More
	}
}

// key notes a key; one that comes in parts is too long to be of interest.
func (a *Answer) key(tok jsonstream.Token, parts bool) {
	depth := tok.Depth - 1
	if depth < 0 || depth >= len(a.path) {
		return
	}
	f := fieldOf(tok.Text)
	if parts {
		f = other
	}
	a.path[depth] = f
	for i := depth + 1; i < len(a.path); i++ {
		a.path[i] = other
	}
	a.label = -1
	switch {
	case parts || depth != 2:
	case a.at(metadata, labels):
		a.label = a.labelIndex(tok.Text)
	case a.at(status, capacity):
		a.extendedResource(tok.Text)
	}
}

// at tells whether the path starts with these two keys.
func (a *Answer) at(first, second field) bool {
	return a.path[0] == first && a.path[1] == second
}

func (a *Answer) labelIndex(key []byte) int8 {
	for i := a.node.NumLabels() - 1; i >= 0; i-- {
		if text.View(key) == a.node.Label(i).Key {
			return int8(i)
		}
	}
	return -1
}

// extendedResource notes a resource whose name has a domain: a kubelet owns
// none at its start, so what is there is left from another life of the node.
func (a *Answer) extendedResource(name []byte) {
	for _, c := range name {
		if c == '/' && a.StaleLen < MaxStale && len(name) <= len(Text{}.buf) {
			a.Stale[a.StaleLen].set(name)
			a.StaleLen++
			return
		}
	}
}

// value takes a string. One that comes in parts is too long to be of use, but
// for a message, of which the first part is kept.
func (a *Answer) value(tok jsonstream.Token, parts bool) {
	v := tok.Text
	switch depth := tok.Depth; {
	case depth == 1:
		a.topValue(v)
	case parts:
	case depth == 2:
		a.secondValue(v)
	case depth == 3 && a.label >= 0:
		a.matchLabel(v)
	case depth == 3 && a.at(status, nodeInfo) && a.path[2] == bootID:
		a.OtherBoot = len(v) > 0 && text.View(v) != a.node.Spec.Facts.BootID
	case depth == 4 && a.at(metadata, ownerReferences) && a.path[3] == uid:
		a.Owners++
		a.OwnerUID.set(v)
	}
}

func (a *Answer) topValue(v []byte) {
	switch a.path[0] {
	case message:
		if a.messageLen == 0 {
			a.messageLen = uint8(copy(a.message[:], v))
		}
	case reason:
		a.Exists = text.View(v) == "AlreadyExists"
	}
}

func (a *Answer) secondValue(v []byte) {
	switch {
	case a.at(metadata, uid):
		a.UID.set(v)
	case a.at(metadata, resourceVersion):
		a.Version.set(v)
	case a.at(spec, holderIdentity):
		a.HolderIs = text.View(v) == a.node.Spec.Name
	}
}

func (a *Answer) matchLabel(v []byte) {
	if text.View(v) == a.node.Label(int(a.label)).Value {
		a.labels |= 1 << a.label
	}
}
