// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/text"
)

// take follows the path of a token and notes what matters of it.
func (d *Decoder) take(tok *jsonstream.Token) Event {
	first := !d.part
	d.part = tok.More
	switch tok.Kind {
	case jsonstream.BeginObject, jsonstream.BeginArray:
		d.begin(tok.Kind)
	case jsonstream.EndObject, jsonstream.EndArray:
		return d.end()
	case jsonstream.Key:
		if first && d.skipped == 0 {
			d.key(tok)
		}
	default:
		return d.scalar(tok, first)
	}
	return None
}

func (d *Decoder) place() place { return d.places[d.level] }

func (d *Decoder) begin(kind jsonstream.Kind) {
	if d.skipped > 0 {
		d.skipped++
		return
	}
	parent := d.place()
	child := d.childOf(parent, kind)
	if child == outside {
		d.checkData(kind)
		d.skipped = 1
		return
	}
	d.level++
	d.places[d.level] = child
	switch {
	case parent == outside:
		d.root = rootState{}
		d.beginObject()
	case parent == inItems:
		d.beginObject()
	case child == inItems:
		d.root.hasItems = true
	}
}

func (d *Decoder) end() Event {
	if d.skipped > 0 {
		d.skipped--
		if d.skipped == 0 && d.place() == outside {
			return d.refuse(ErrShape, 0)
		}
		return None
	}
	d.level--
	switch d.place() {
	case outside:
		return d.endRoot()
	case inItems:
		d.endItem()
	}
	return None
}

func (d *Decoder) beginObject() {
	d.object = object{}
	d.vals.into.Reset()
	d.vals.reset(d.vals.into)
}

// key notes which member begins and forgets an earlier one of that key: the
// last one counts, as in encoding/json. For data that is an error instead.
func (d *Decoder) key(tok *jsonstream.Token) {
	key := tok.Text
	if tok.More {
		key = nil // longer than any key that matters
	}
	d.member = memberAt(d.place(), key)
	switch d.member {
	case memberType:
		d.root.event = watchUnknown
	case memberObject:
		d.beginObject()
	case memberKind:
		d.status().is = false
	case memberCode:
		d.status().code = 0
	case memberMetadata:
		d.object.name, d.object.namespace = match{}, match{}
		*d.resourceVersion() = 0
	case memberName:
		d.object.name = match{}
	case memberNamespace:
		d.object.namespace = match{}
	case memberResourceVersion:
		*d.resourceVersion() = 0
	case memberData:
		d.beginData()
	case memberValue:
		d.refuseObject(d.vals.begin(key))
	case memberBinary:
		d.vals.binary(key)
	}
}

func (d *Decoder) beginData() {
	if d.object.hasData {
		d.refuseObject(ErrDuplicateKey)
	}
	d.object.hasData = true
}

// scalar takes a string, or a part of it, a number, a boolean or null.
func (d *Decoder) scalar(tok *jsonstream.Token, first bool) Event {
	switch {
	case d.skipped > 0 || d.place() == inItems:
	case d.place() == outside && !tok.More:
		return d.refuse(ErrShape, 0)
	case d.place() == inData:
		d.value(tok)
	case tok.Kind == jsonstream.String:
		d.str(tok, first)
	case d.member == memberCode && tok.Kind == jsonstream.Number:
		d.status().code = parseCode(tok.Text)
	case d.member == memberItems && tok.Kind == jsonstream.Null:
		d.root.hasItems = true
	default:
		d.checkData(tok.Kind)
	}
	return None
}

// value takes a part of a value in data.
func (d *Decoder) value(tok *jsonstream.Token) {
	d.checkData(tok.Kind)
	d.refuseObject(d.vals.text(tok.Text))
	if !tok.More {
		d.vals.end()
	}
}

// str takes a string outside of data. All that matter come in one part, but
// for the names.
func (d *Decoder) str(tok *jsonstream.Token, first bool) {
	whole := first && !tok.More
	switch {
	case d.member == memberName:
		d.object.name.add(d.name, tok.Text)
	case d.member == memberNamespace:
		d.object.namespace.add(d.namespace, tok.Text)
	case d.member == memberType && whole:
		d.root.event = parseWatchType(tok.Text)
	case d.member == memberKind && whole:
		d.status().is = text.View(tok.Text) == "Status"
	case d.member == memberResourceVersion && whole:
		*d.resourceVersion() = parseResourceVersion(tok.Text)
	default:
		d.checkData(tok.Kind)
	}
}

// checkData refuses the object if a value of this kind must not be where it
// begins: data is an object or null, its members are strings.
func (d *Decoder) checkData(kind jsonstream.Kind) {
	isData := d.place() == inObject && d.member == memberData
	if isData && kind != jsonstream.Null || d.place() == inData && kind != jsonstream.String {
		d.refuseObject(ErrNotString)
	}
}

// refuseObject notes why the object cannot be taken, unless why is nil; the
// first reason stays.
func (d *Decoder) refuseObject(why error) {
	if d.object.refusal == nil {
		d.object.refusal = why
	}
}

// status returns where kind and code of the inner place belong.
func (d *Decoder) status() *status {
	if d.place() == inObject {
		return &d.object.status
	}
	return &d.root.status
}

// resourceVersion returns where that of the inner place belongs.
func (d *Decoder) resourceVersion() *uint64 {
	if d.place() == inList || d.place() == inListMeta {
		return &d.root.resourceVersion
	}
	return &d.object.resourceVersion
}

// parseCode returns 0 for what is no HTTP status code.
func parseCode(p []byte) int {
	code, ok := parseDecimal(p)
	if !ok || code > 999 {
		return 0
	}
	return int(code)
}

// parseResourceVersion returns 0 for one that is not a decimal number. They
// all are (KEP-5504), but for those of some extension servers.
func parseResourceVersion(p []byte) uint64 {
	version, ok := parseDecimal(p)
	if !ok {
		return 0
	}
	return version
}
