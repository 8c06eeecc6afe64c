// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/text"
)

// place is a container that matters, found by its path from the root. All
// others are skipped, so look-alikes in annotations or managedFields are never
// seen.
type place uint8

const (
	outside      place = iota // before and after a value of the body
	inEvent                   // Watch: the root
	inList                    // List: the root
	inListMeta                // .metadata of the list
	inItems                   // .items of the list
	inObject                  // Object: the root; an item; .object of a watch event
	inObjectMeta              // .metadata of the object
	inData                    // .data of the object
	inBinary                  // .binaryData of the object
)

// maxLevel is the depth of data in the deepest shape: list, items, item, data.
const maxLevel = 4

// member is a member of an object that matters.
type member uint8

const (
	other member = iota
	memberType
	memberObject
	memberKind
	memberCode
	memberMetadata
	memberItems
	memberName
	memberNamespace
	memberResourceVersion
	memberData
	memberValue // any member of data
	memberBinaryData
	memberBinary // any member of binaryData
)

// memberAt finds the member of a place by its key. Keys are compared exactly.
func memberAt(p place, key []byte) member {
	switch p {
	case inEvent:
		return memberOfEvent(key)
	case inList:
		return memberOfList(key)
	case inObject:
		return memberOfObject(key)
	case inListMeta, inObjectMeta:
		return memberOfMeta(key)
	case inData:
		return memberValue
	case inBinary:
		return memberBinary
	}
	return other
}

func memberOfEvent(key []byte) member {
	switch text.View(key) {
	case "type":
		return memberType
	case "object":
		return memberObject
	}
	return memberOfStatus(key)
}

func memberOfList(key []byte) member {
	switch text.View(key) {
	case "metadata":
		return memberMetadata
	case "items":
		return memberItems
	}
	return memberOfStatus(key)
}

func memberOfObject(key []byte) member {
	switch text.View(key) {
	case "metadata":
		return memberMetadata
	case "data":
		return memberData
	case "binaryData":
		return memberBinaryData
	}
	return memberOfStatus(key)
}

func memberOfStatus(key []byte) member {
	switch text.View(key) {
	case "kind":
		return memberKind
	case "code":
		return memberCode
	}
	return other
}

func memberOfMeta(key []byte) member {
	switch text.View(key) {
	case "name":
		return memberName
	case "namespace":
		return memberNamespace
	case "resourceVersion":
		return memberResourceVersion
	}
	return other
}

// childOf finds the place of a container that begins as member m of place p;
// outside if it does not matter.
func (d *Decoder) childOf(p place, kind jsonstream.Kind) place {
	if kind == jsonstream.BeginArray {
		if p == inList && d.member == memberItems {
			return inItems
		}
		return outside
	}
	switch {
	case p == outside:
		return d.shape.root()
	case p == inItems && !d.found:
		return inObject
	case p == inEvent && d.member == memberObject:
		return inObject
	case p == inList && d.member == memberMetadata:
		return inListMeta
	case p == inObject && d.member == memberMetadata:
		return inObjectMeta
	case p == inObject && d.member == memberData:
		return inData
	case p == inObject && d.member == memberBinaryData:
		return inBinary
	}
	return outside
}

func (s Shape) root() place {
	switch s {
	case List:
		return inList
	case Watch:
		return inEvent
	}
	return inObject
}
