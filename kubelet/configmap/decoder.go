// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"errors"

	"github.com/picolet/picolet/kubelet/jsonstream"
)

// Why a Decoder refuses an object; see Decoder.Err. The last good
// configuration stays in force, and the next object in a watch is read as if
// nothing had been. Unless said otherwise, the remedy is to mend the ConfigMap.
var (
	// ErrTooLarge: more than MaxKeys or MaxValueBytes.
	ErrTooLarge = errors.New("configmap: more than 64 keys or 16 KiB of values; take out what the board does not need")
	// ErrNotString: a member of data is no string, or data no object. The API
	// server never sends that: something between changed it.
	ErrNotString = errors.New("configmap: data is not an object of strings; look at what stands between the board and the API server")
	// ErrDuplicateKey: data, or a key in it that a board knows, comes twice.
	// The API server never sends that either.
	ErrDuplicateKey = errors.New("configmap: a key comes twice; look at what stands between the board and the API server")
	// ErrWrongObject: a GET was answered with another object.
	ErrWrongObject = errors.New("configmap: the answer is another object than the one asked for; check the path of the request")
	// ErrShape: the answer is neither of the Shape nor a Status.
	ErrShape = errors.New("configmap: the answer is no ConfigMap, list or watch event; check the path of the request")
	// ErrEventType: a watch event is of a type that Kubernetes does not have.
	ErrEventType = errors.New("configmap: unknown type of watch event; list again")
)

// Errors that end a body; beside these, Feed returns those of package
// jsonstream. The caller closes the stream and asks again.
var (
	// ErrTruncated: the body ended inside a value, or before one.
	ErrTruncated = errors.New("configmap: the answer ended too early; ask again")
	// ErrTrailing: the answer to a GET or list goes on after its value.
	ErrTrailing = errors.New("configmap: the answer has more than one value; close the connection and ask again")
)

// Shape says what an HTTP body is.
type Shape uint8

// The shapes of the answers about a ConfigMap.
const (
	Object Shape = iota // of a GET: one ConfigMap
	List                // a ConfigMapList; the first item with the name counts
	Watch               // watch events, one after another
)

// Event is what a Decoder came to know.
type Event uint8

// The events. Object and List give exactly one, Watch one for each watch event
// about the ConfigMap. Only after Applied does the Staged hold anything.
const (
	None     Event = iota // nothing yet: all bytes were consumed
	Applied               // the ConfigMap as it is now is in the Staged
	Deleted               // the ConfigMap was deleted
	Absent                // the list has no such ConfigMap
	Bookmark              // only ResourceVersion moved
	Expired               // the resourceVersion is too old (410): list again
	Failed                // the API server sent a Status; see Code
	Refused               // the object cannot be taken; see Err
)

// Decoder reads the body of an answer about one ConfigMap, in pieces of any
// size and with members in any order. It needs Reset before each body.
type Decoder struct {
	scanner   jsonstream.Scanner
	namespace string
	name      string
	vals      values
	object    object
	err       error // of Feed; sticks
	refusal   error // of the last event

	shape   Shape
	level   uint8 // open containers that matter; places[level] is the inner one
	places  [maxLevel + 1]place
	member  member // under way in the inner place
	part    bool   // the last token was a part, and another follows
	skipped int    // open containers from the outer one that does not matter

	root     rootState
	found    bool // List: our item was read, the others do not matter
	done     bool // Object and List: the value was read
	others   int
	code     int
	version  [20]byte
	versionN uint8
}

// rootState is what is known of the root where that is not the ConfigMap.
type rootState struct {
	status
	event           watchType
	hasItems        bool   // of a list
	resourceVersion uint64 // of a list
}

// object is what is known of the object being read.
type object struct {
	status
	namespace       match
	name            match
	resourceVersion uint64 // 0: not known
	hasData         bool
	refusal         error // why it cannot be taken, if it is ours
}

// status is what is known of a metav1.Status.
type status struct {
	is   bool // kind is Status
	code int  // 0: none
}

// Reset prepares d for a body about the ConfigMap that the strings name. The
// contents go into a Staged, which belongs to d from now on and is valid after
// Applied until the next Feed. Both strings are kept.
func (d *Decoder) Reset(shape Shape, namespace, name string, into *Staged) {
	*d = Decoder{shape: shape, namespace: namespace, name: name}
	d.vals.into = into
	d.beginObject()
}

// Feed consumes a prefix of p, n bytes long, and stops after each event; the
// caller offers the rest again. An error ends the body for good.
func (d *Decoder) Feed(p []byte) (ev Event, n int, err error) {
	for d.err == nil {
		tok, used, err := d.scanner.Next(p[n:])
		n += used
		switch {
		case err != nil:
			d.fail(err)
		case tok.Kind == jsonstream.NeedMore:
			return None, n, nil
		case d.done:
			d.fail(ErrTrailing)
		default:
			if ev := d.take(&tok); ev != None {
				return ev, n, nil
			}
		}
	}
	return None, n, d.err
}

// Finish takes the end of the body. It returns ErrTruncated if that came too
// early.
func (d *Decoder) Finish() error {
	if d.err != nil {
		return d.err
	}
	tok, err := d.scanner.Finish()
	between := err == nil && tok.Kind == jsonstream.NeedMore
	if d.done || d.shape == Watch && between {
		return nil
	}
	d.fail(ErrTruncated)
	return d.err
}

// Code is the HTTP status code of the last Failed or Expired, 0 if the Status
// had none.
func (d *Decoder) Code() int { return d.code }

// Err is why the last object was Refused.
func (d *Decoder) Err() error { return d.refusal }

// ResourceVersion is where a watch can go on after the last event: of the list
// for List, else of the object. It is empty if that was not a decimal number
// of at most 64 bits: list again then. It is valid until the next Feed.
func (d *Decoder) ResourceVersion() []byte { return d.version[:d.versionN] }

// Others counts the objects with another name or namespace, which are skipped.
func (d *Decoder) Others() int { return d.others }
