// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

// FuzzDecoder compares with a decoder on top of encoding/json, which holds all
// of a body at once, and feeds the body in random pieces.
func FuzzDecoder(f *testing.F) {
	for i, tt := range decoderTests() {
		if len(tt.body) < 4<<10 {
			f.Add(uint8(tt.shape), uint64(i), tt.body)
		}
	}
	f.Fuzz(func(t *testing.T, shape uint8, seed uint64, body string) {
		want, ok := expect(configmap.Shape(shape%3), body)
		got := decode(t, configmap.Shape(shape%3), body, randomPieces(seed, len(body))...)
		whole := decode(t, configmap.Shape(shape%3), body)
		if !slices.Equal(got, whole) {
			t.Errorf("in pieces:\n%s\nas a whole:\n%s", strings.Join(got, "\n"), strings.Join(whole, "\n"))
		}
		if ok && !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func randomPieces(seed uint64, n int) (pieces []int) {
	r := rand.New(rand.NewPCG(seed, 0))
	for n > 0 {
		size := 1 + r.IntN(1+r.IntN(40))
		pieces = append(pieces, size)
		n -= size
	}
	return pieces
}

// expect returns what decode must return. It is not ok where encoding/json
// cannot tell: bodies with faults, with numbers at the top, or past the limits
// of package jsonstream.
func expect(shape configmap.Shape, body string) (lines []string, ok bool) {
	in := json.NewDecoder(strings.NewReader(body))
	for {
		var value json.RawMessage
		err := in.Decode(&value)
		switch {
		case err == io.EOF && shape != configmap.Watch && len(lines) == 0:
			return []string{"error: " + configmap.ErrTruncated.Error()}, true
		case err == io.EOF:
			return lines, true
		case err != nil || strings.ContainsRune("-0123456789", rune(value[0])) || !withinLimits(value):
			return nil, false
		case shape != configmap.Watch && len(lines) == 1:
			return append(lines, "error: "+configmap.ErrTrailing.Error()), true
		}
		lines = append(lines, expectValue(shape, value)...)
	}
}

// withinLimits tells whether a Scanner takes the value.
func withinLimits(value []byte) bool {
	var s jsonstream.Scanner
	for len(value) > 0 {
		_, n, err := s.Next(value)
		if err != nil {
			return false
		}
		value = value[n:]
	}
	return true
}

// node is a JSON value; its members keep their order and may repeat.
type node struct {
	kind    byte // first byte of the value
	text    string
	keys    []string
	members []node // or elements
}

func parse(value json.RawMessage) node {
	in := json.NewDecoder(bytes.NewReader(value))
	in.UseNumber()
	tok, err := in.Token()
	if err != nil {
		panic(err)
	}
	n := node{kind: value[0], text: fmt.Sprint(tok)}
	for in.More() {
		if n.kind == '{' {
			key, err := in.Token()
			if err != nil {
				panic(err)
			}
			n.keys = append(n.keys, key.(string))
		}
		var member json.RawMessage
		if err := in.Decode(&member); err != nil {
			panic(err)
		}
		n.members = append(n.members, parse(member))
	}
	return n
}

// get returns the last member with the key; kind is 0 if there is none.
func (n node) get(path ...string) node {
	for _, key := range path {
		var found node
		for i, k := range n.keys {
			if k == key {
				found = n.members[i]
			}
		}
		n = found
	}
	return n
}

// str returns a string member, "" if it is something else.
func (n node) str(path ...string) string {
	if m := n.get(path...); m.kind == '"' {
		return m.text
	}
	return ""
}

func (n node) version() uint64 {
	text := n.str("metadata", "resourceVersion")
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(v, 10) != text {
		return 0
	}
	return v
}

func (n node) ours() bool {
	return n.str("metadata", "name") == name && n.str("metadata", "namespace") == namespace
}

func expectValue(shape configmap.Shape, value json.RawMessage) []string {
	root := parse(value)
	switch {
	case root.kind != '{':
		return []string{refused("", configmap.ErrShape)}
	case root.str("kind") == "Status":
		return []string{expectStatus(root)}
	case shape == configmap.List:
		return []string{expectList(root)}
	case shape == configmap.Watch:
		return expectWatchEvent(root)
	case !root.ours():
		return []string{refused("", configmap.ErrWrongObject)}
	}
	return []string{expectObject(root, root.version())}
}

func expectStatus(status node) string {
	code, err := strconv.Atoi(status.get("code").text)
	if err != nil || status.get("code").kind == '"' || code < 0 || code > 999 {
		code = 0
	}
	if code == 410 {
		return `Expired version="" code=410`
	}
	return fmt.Sprintf(`Failed version="" code=%d`, code)
}

func expectList(root node) string {
	hasItems := false
	for i, key := range root.keys {
		items := root.members[i]
		if key != "items" || items.kind != '[' && items.kind != 'n' {
			continue
		}
		hasItems = true
		for _, item := range items.members {
			if item.kind == '{' && item.ours() {
				return expectObject(item, root.version())
			}
		}
	}
	if !hasItems {
		return refused("", configmap.ErrShape)
	}
	return fmt.Sprintf("Absent version=%q", versionText(root.version()))
}

func expectWatchEvent(root node) []string {
	object := root.get("object")
	if object.kind != '{' {
		object = node{}
	}
	version := versionText(object.version())
	switch kind := root.str("type"); {
	case kind == "ERROR":
		return []string{expectStatus(object)}
	case kind == "BOOKMARK":
		return []string{fmt.Sprintf("Bookmark version=%q", version)}
	case kind != "ADDED" && kind != "MODIFIED" && kind != "DELETED":
		return []string{refused("", configmap.ErrEventType)}
	case !object.ours():
		return nil
	case kind == "DELETED":
		return []string{fmt.Sprintf("Deleted version=%q", version)}
	}
	return []string{expectObject(object, object.version())}
}

func expectObject(object node, version uint64) string {
	var r reference
	if err := r.data(object); err != nil {
		return refused(versionText(version), err)
	}
	return fmt.Sprintf("Applied version=%q object=%d %s", versionText(version), object.version(), r.String())
}

func versionText(v uint64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatUint(v, 10)
}

// data takes all of data, or tells the first reason why not.
func (r *reference) data(object node) error {
	seen, bytes, hasData := map[string]bool{}, 0, false
	for i, key := range object.keys {
		data := object.members[i]
		switch {
		case key == "binaryData" && data.kind == '{':
			for _, key := range data.keys {
				r.binary(key)
			}
			continue
		case key != "data":
			continue
		case hasData:
			return configmap.ErrDuplicateKey
		case data.kind != '{' && data.kind != 'n':
			return configmap.ErrNotString
		}
		hasData = true
		for i, key := range data.keys {
			value := data.members[i]
			bytes += len(value.text)
			switch {
			case i == configmap.MaxKeys:
				return configmap.ErrTooLarge
			case seen[key] && isKnown(key):
				return configmap.ErrDuplicateKey
			case value.kind != '"':
				return configmap.ErrNotString
			case bytes > configmap.MaxValueBytes:
				return configmap.ErrTooLarge
			}
			seen[key] = true
			r.value(key, value.text)
		}
	}
	return nil
}

func isKnown(key string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "pin_"))
	return key == "memory_values" || key == "led" || err == nil && n >= 0 && n < 32 && key == fmt.Sprintf("pin_%d", n)
}
