// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/configmap"
)

// FuzzDocument does as FuzzDecoder does with bodies that are JSON and look
// like answers of an API server, with members missing, doubled, misplaced or
// of the wrong kind. The choices say how.
func FuzzDocument(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		choices := make([]byte, 20+r.IntN(200))
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		f.Add(uint8(r.IntN(3)), choices)
	}
	f.Fuzz(func(t *testing.T, shape uint8, choices []byte) {
		g := generator{choices: choices}
		body := g.body(configmap.Shape(shape % 3))
		want, ok := expect(configmap.Shape(shape%3), body)
		if !ok {
			t.Fatalf("the generator made what encoding/json cannot judge: %s", body)
		}
		got := decode(t, configmap.Shape(shape%3), body, randomPieces(uint64(len(choices)), len(body))...)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", body, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// generator makes a document from choices; when they run out, the plainest.
type generator struct {
	choices []byte
	depth   int
}

// pick returns a number below n.
func (g *generator) pick(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := g.choices[0]
	g.choices = g.choices[1:]
	return int(c) % n
}

func (g *generator) oneOf(s ...string) string { return s[g.pick(len(s))] }

func (g *generator) body(shape configmap.Shape) string {
	root := []string{"configMap", "list", "event"}[shape]
	if shape != configmap.Watch {
		return g.value(root) + g.oneOf("", "\n", " ")
	}
	var b strings.Builder
	for range 1 + g.pick(4) {
		b.WriteString(g.value(root) + g.oneOf("", "\n", " "))
	}
	return b.String()
}

// members lists what each kind of object has, plain ones first.
var members = map[string][]string{
	"configMap":  {"metadata", "data", "kind", "binaryData", "code", "object", "type", "items"},
	"list":       {"metadata", "items", "kind", "data", "code"},
	"event":      {"type", "object", "kind", "code", "metadata", "data"},
	"metadata":   {"name", "namespace", "resourceVersion", "annotations", "data", "metadata", "kind"},
	"data":       {"memory_values", "pin_1", "led", "pin_31", "pin_32", "note", "data", "name", "pin_1", "Pin_2", "GP.3"},
	"binaryData": {"memory_values", "pin_2", "PIN2", "note"},
	"x":          {"metadata", "data", "name", "items", "object", "kind"},
}

// value makes the value of a member: mostly the right one.
func (g *generator) value(key string) string {
	g.depth++
	defer func() { g.depth-- }()
	if g.pick(16) == 15 || g.depth > 8 {
		if g.depth > 1 && g.pick(8) == 7 {
			return "410"
		}
		return g.oneOf("null", `"x"`, "true", "[]", "{}", `["Status",{}]`, `{"data":{"pin_3":"LOW"}}`)
	}
	switch key {
	case "type":
		return g.oneOf(`"ADDED"`, `"MODIFIED"`, `"DELETED"`, `"BOOKMARK"`, `"ERROR"`, `"ADDED"`, `"added"`)
	case "kind":
		return g.oneOf(`"ConfigMap"`, `"ConfigMapList"`, `"ConfigMap"`, `"Status"`)
	case "code":
		return g.oneOf("410", "404", "0", "-1", "1e2")
	case "name":
		return g.oneOf(`"pico-config"`, `"pico-config"`, `"pico-config"`, `"pico\u002dconfig"`, `"pico"`, `""`)
	case "namespace":
		return g.oneOf(`"default"`, `"default"`, `"default"`, `"kube-system"`)
	case "resourceVersion":
		return `"` + g.oneOf("", "0", "x", "") + strconv.Itoa(1+g.pick(200)) + `"`
	case "items":
		return g.array("configMap")
	case "object":
		return g.object("configMap")
	case "memory_values", "pin_1", "pin_31", "pin_32", "led", "note", "Pin_2", "GP.3":
		return g.oneOf(`"1=2"`, `"HIGH"`, `"PWM:7"`, `"0x3ff = 0xFF,\n7=8,,"`, `"1024=1,x,1=256,y,z,9=9"`, `"\ud83d\ude00=1,2=\u0033"`, `"`+strings.Repeat("5=5,", 100)+`"`, `"`+strings.Repeat(" ", 9000)+`"`)
	case "annotations":
		return g.object("x")
	}
	return g.object(key)
}

func (g *generator) array(of string) string {
	var elements []string
	for range g.pick(4) {
		elements = append(elements, g.value(of))
	}
	return "[" + strings.Join(elements, g.oneOf(",", " ,\n")) + "]"
}

func (g *generator) object(kind string) string {
	keys := slices.Clone(members[kind])
	if keys == nil {
		keys = slices.Clone(members["x"])
	}
	plain := min(len(keys), 3)
	keys = keys[:plain+g.pick(len(keys)-plain+1)]
	if first := g.pick(len(keys) + 1); first < len(keys) {
		keys = append(keys[first:], keys[:first]...)
	}
	switch g.pick(8) {
	case 6:
		slices.Reverse(keys)
	case 7:
		keys = append(keys, keys[g.pick(len(keys))])
	}
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(strconv.Quote(key) + g.oneOf(":", " : ") + g.value(key))
	}
	return "{" + b.String() + "}"
}
