// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"strconv"

	"github.com/picolet/picolet/kubelet/text"
)

// codeGone is what a Status with reason Expired or Gone carries.
const codeGone = 410

// watchType is the type of a watch event, as package watch of apimachinery has
// them.
type watchType uint8

const (
	watchUnknown watchType = iota
	watchAdded
	watchModified
	watchDeleted
	watchBookmark
	watchError
)

func parseWatchType(p []byte) watchType {
	switch text.View(p) {
	case "ADDED":
		return watchAdded
	case "MODIFIED":
		return watchModified
	case "DELETED":
		return watchDeleted
	case "BOOKMARK":
		return watchBookmark
	case "ERROR":
		return watchError
	}
	return watchUnknown
}

// endRoot concludes a value of the body.
func (d *Decoder) endRoot() Event {
	switch {
	case d.root.is:
		return d.failed(d.root.status)
	case d.shape == List:
		return d.endList()
	case d.shape == Watch:
		return d.endWatchEvent()
	}
	return d.endGet()
}

func (d *Decoder) endGet() Event {
	switch {
	case d.object.is:
		return d.failed(d.object.status)
	case !d.ours():
		d.others++
		return d.refuse(ErrWrongObject, 0)
	}
	return d.current(d.object.resourceVersion)
}

func (d *Decoder) endList() Event {
	switch {
	case !d.root.hasItems:
		return d.refuse(ErrShape, 0)
	case !d.found:
		return d.event(Absent, d.root.resourceVersion)
	}
	return d.current(d.root.resourceVersion)
}

// endItem concludes an item of a list.
func (d *Decoder) endItem() {
	d.found = d.ours()
	if !d.found {
		d.others++
	}
}

func (d *Decoder) endWatchEvent() Event {
	version := d.object.resourceVersion
	switch {
	case d.root.event == watchError:
		return d.failed(d.object.status)
	case d.root.event == watchBookmark:
		return d.event(Bookmark, version)
	case d.root.event == watchUnknown:
		return d.refuse(ErrEventType, 0)
	case !d.ours():
		d.others++
		return d.event(None, version)
	case d.root.event == watchDeleted:
		return d.event(Deleted, version)
	}
	return d.current(version)
}

// current is the event for our ConfigMap as it is now.
func (d *Decoder) current(version uint64) Event {
	if d.object.refusal != nil {
		return d.refuse(d.object.refusal, version)
	}
	d.vals.into.source = sourceOf(d.namespace, d.name)
	d.vals.into.resourceVersion = d.object.resourceVersion
	return d.event(Applied, version)
}

func (d *Decoder) failed(s status) Event {
	d.code = s.code
	if s.code == codeGone {
		return d.event(Expired, 0)
	}
	return d.event(Failed, 0)
}

func (d *Decoder) refuse(why error, version uint64) Event {
	d.refusal = why
	return d.event(Refused, version)
}

// event notes where a watch can go on, and empties the Staged unless it counts.
func (d *Decoder) event(ev Event, version uint64) Event {
	d.versionN = 0
	if version != 0 {
		d.versionN = uint8(len(strconv.AppendUint(d.version[:0], version, 10)))
	}
	if ev != Applied {
		d.vals.into.Reset()
	}
	d.done = d.shape != Watch
	return ev
}

// fail ends the body.
func (d *Decoder) fail(err error) {
	d.err = err
	d.vals.into.Reset()
}

// ours tells whether the object is the ConfigMap asked for.
func (d *Decoder) ours() bool {
	return d.object.namespace.equals(d.namespace) && d.object.name.equals(d.name)
}

// match compares a string that comes in parts with a wanted one.
type match struct {
	length uint16 // that matched so far
	failed bool
}

func (m *match) add(want string, part []byte) {
	rest := want[m.length:]
	if len(part) > len(rest) || rest[:len(part)] != text.View(part) {
		m.failed = true
		return
	}
	m.length += uint16(len(part))
}

func (m *match) equals(want string) bool { return !m.failed && int(m.length) == len(want) }
