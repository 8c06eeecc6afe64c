// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/jsonstream"
)

func TestWriterValues(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		write func(w *jsonstream.Writer)
		want  string
	}{
		"empty object": {func(w *jsonstream.Writer) { w.BeginObject(); w.EndObject() }, `{}`},
		"empty array":  {func(w *jsonstream.Writer) { w.BeginArray(); w.EndArray() }, `[]`},
		"smallest int": {func(w *jsonstream.Writer) { w.Int(math.MinInt64) }, `-9223372036854775808`},
		"largest uint": {func(w *jsonstream.Writer) { w.Uint(math.MaxUint64) }, `18446744073709551615`},
		"null":         {func(w *jsonstream.Writer) { w.Null() }, `null`},
		"empty string": {func(w *jsonstream.Writer) { w.String("") }, `""`},
		"escapes": {func(w *jsonstream.Writer) { w.String("\"\\/\b\f\n\r\t\x00\x1f\x7f<é😀") },
			`"\"\\/\u0008\u000c\n\r\t\u0000\u001f` + "\x7f<é😀\""},
		"invalid UTF-8": {func(w *jsonstream.Writer) { w.StringBytes([]byte("a\xff\xe2\x82z\xed\xa0\x80")) },
			`"a` + strings.Repeat("\uFFFD", 3) + `z` + strings.Repeat("\uFFFD", 3) + `"`},
		"array of all": {func(w *jsonstream.Writer) {
			w.BeginArray()
			w.Bool(true)
			w.Bool(false)
			w.Raw(`{"a":1.5}`)
			w.BeginArray()
			w.EndArray()
			w.String("x")
			w.EndArray()
		}, `[true,false,{"a":1.5},[],"x"]`},
		"array after object": {func(w *jsonstream.Writer) {
			w.BeginArray()
			w.BeginObject()
			w.EndObject()
			w.BeginArray()
			w.Int(1)
			w.EndArray()
			w.EndArray()
		}, `[{},[1]]`},
		"members": {func(w *jsonstream.Writer) {
			w.BeginObject()
			w.StringMember("a\n", "b")
			w.BytesMember("c", []byte("d"))
			w.IntMember("e", -1)
			w.UintMember("f", 1)
			w.BoolMember("g", true)
			w.Key("h")
			w.BeginObject()
			w.EndObject()
			w.Key("i")
			w.Null()
			w.EndObject()
		}, `{"a\n":"b","c":"d","e":-1,"f":1,"g":true,"h":{},"i":null}`},
		"string by parts": {func(w *jsonstream.Writer) {
			w.BeginArray()
			w.BeginString()
			w.AppendText([]byte("1\""))
			w.AppendTextString("\n2")
			w.EndString()
			w.BeginString()
			w.EndString()
			w.EndArray()
		}, `["1\"\n2",""]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkEverySize(t, test.write, test.want)
		})
	}
}

// checkEverySize writes into buffers of all sizes up to the one that is enough.
func checkEverySize(t *testing.T, write func(*jsonstream.Writer), want string) {
	t.Helper()
	var w jsonstream.Writer
	for size := range len(want) {
		memory := []byte(strings.Repeat("#", size+8))
		w.Reset(memory[:0:size])
		write(&w)
		if w.Err() != jsonstream.ErrFull {
			t.Fatalf("size %d of %d: err = %v, want ErrFull", size, len(want), w.Err())
		}
		if !strings.HasPrefix(want, string(w.Bytes())) {
			t.Fatalf("size %d: wrote %q, no prefix of %q", size, w.Bytes(), want)
		}
		if string(memory[size:]) != "########" {
			t.Fatalf("size %d: wrote past the buffer", size)
		}
	}
	w.Reset(make([]byte, 0, len(want)))
	write(&w)
	if w.Err() != nil || string(w.Bytes()) != want || w.Len() != len(want) {
		t.Fatalf("wrote %q (%d bytes), %v; want %q", w.Bytes(), w.Len(), w.Err(), want)
	}
	if !json.Valid(w.Bytes()) {
		t.Fatalf("%q is not JSON", w.Bytes())
	}
}

func TestWriterRefusesMisuse(t *testing.T) {
	t.Parallel()
	object := func(w *jsonstream.Writer) { w.BeginObject() }
	array := func(w *jsonstream.Writer) { w.BeginArray() }
	text := func(w *jsonstream.Writer) { w.BeginString() }
	number := func(w *jsonstream.Writer) { w.Int(1) }
	key := func(w *jsonstream.Writer) { w.Key("k") }
	endObject := func(w *jsonstream.Writer) { w.EndObject() }
	endArray := func(w *jsonstream.Writer) { w.EndArray() }
	endText := func(w *jsonstream.Writer) { w.EndString() }
	part := func(w *jsonstream.Writer) { w.AppendTextString("x") }
	partBytes := func(w *jsonstream.Writer) { w.AppendText(nil) }
	type calls []func(*jsonstream.Writer)
	tests := map[string]struct {
		calls calls
		want  error
	}{
		"nothing":              {calls{}, jsonstream.ErrIncomplete},
		"open object":          {calls{object}, jsonstream.ErrIncomplete},
		"open array":           {calls{array, number}, jsonstream.ErrIncomplete},
		"open string":          {calls{text, part}, jsonstream.ErrIncomplete},
		"key without value":    {calls{object, key}, jsonstream.ErrIncomplete},
		"key, then end":        {calls{object, key, endObject}, jsonstream.ErrNesting},
		"two keys":             {calls{object, key, key}, jsonstream.ErrNesting},
		"value without key":    {calls{object, number}, jsonstream.ErrNesting},
		"object without key":   {calls{object, object}, jsonstream.ErrNesting},
		"key at top":           {calls{key}, jsonstream.ErrNesting},
		"key in array":         {calls{array, key}, jsonstream.ErrNesting},
		"key in string":        {calls{object, key, text, key}, jsonstream.ErrNesting},
		"two values at top":    {calls{number, number}, jsonstream.ErrNesting},
		"end of nothing":       {calls{endObject}, jsonstream.ErrNesting},
		"wrong end of object":  {calls{object, endArray}, jsonstream.ErrNesting},
		"wrong end of array":   {calls{array, endObject}, jsonstream.ErrNesting},
		"end inside string":    {calls{array, text, endArray}, jsonstream.ErrNesting},
		"value inside string":  {calls{text, number}, jsonstream.ErrNesting},
		"string inside string": {calls{text, text}, jsonstream.ErrNesting},
		"part of no string":    {calls{array, part}, jsonstream.ErrNesting},
		"bytes of no string":   {calls{array, partBytes}, jsonstream.ErrNesting},
		"end of no string":     {calls{endText}, jsonstream.ErrNesting},
		"empty raw":            {calls{func(w *jsonstream.Writer) { w.Raw("") }}, jsonstream.ErrNesting},
		"error stays":          {calls{endArray, array, endArray}, jsonstream.ErrNesting},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w jsonstream.Writer
			w.Reset(make([]byte, 64))
			for _, call := range test.calls {
				call(&w)
			}
			if w.Err() != test.want {
				t.Fatalf("err = %v after %q, want %v", w.Err(), w.Bytes(), test.want)
			}
			w.Reset(make([]byte, 64))
			w.Int(1)
			if w.Err() != nil {
				t.Fatalf("after Reset: %v", w.Err())
			}
		})
	}
}

func TestWriterDepth(t *testing.T) {
	t.Parallel()
	for depth, want := range map[int]error{16: nil, 17: jsonstream.ErrNesting} {
		var w jsonstream.Writer
		w.Reset(make([]byte, 256))
		for i := range depth {
			if i%3 == 0 {
				w.BeginObject()
				w.Key("k")
			} else {
				w.BeginArray()
			}
		}
		w.Null()
		for i := depth - 1; i >= 0; i-- {
			if i%3 == 0 {
				w.EndObject()
			} else {
				w.EndArray()
			}
		}
		if w.Err() != want {
			t.Errorf("depth %d: %v, want %v", depth, w.Err(), want)
		}
		if want == nil && !json.Valid(w.Bytes()) {
			t.Errorf("depth %d: wrote %q", depth, w.Bytes())
		}
	}
}

func TestZeroWriterIsFull(t *testing.T) {
	t.Parallel()
	var w jsonstream.Writer
	w.BeginObject()
	if w.Err() != jsonstream.ErrFull {
		t.Fatalf("err = %v, want ErrFull", w.Err())
	}
}

// writeStatus writes something like a node status.
func writeStatus(w *jsonstream.Writer, name []byte) {
	w.BeginObject()
	w.Key("status")
	w.BeginObject()
	w.Key("conditions")
	w.BeginArray()
	for range 5 {
		w.BeginObject()
		w.StringMember("type", "Ready")
		w.StringMember("status", "True")
		w.BytesMember("message", name)
		w.Key("lastHeartbeatTime")
		w.BeginString()
		w.AppendText(name)
		w.AppendTextString("Z")
		w.EndString()
		w.IntMember("observedGeneration", 12)
		w.BoolMember("ok", true)
		w.EndObject()
	}
	w.EndArray()
	w.EndObject()
	w.EndObject()
}

func TestWriterAllocatesNothing(t *testing.T) {
	var w jsonstream.Writer
	buf, name := make([]byte, 2048), []byte("kubelet is \"ready\" – é\xff")
	if n := testing.AllocsPerRun(100, func() {
		w.Reset(buf)
		writeStatus(&w, name)
	}); n != 0 || w.Err() != nil {
		t.Fatalf("%v allocations, %v", n, w.Err())
	}
}

func BenchmarkWriter(b *testing.B) {
	var w jsonstream.Writer
	buf, name := make([]byte, 2048), []byte("kubelet is posting ready status")
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(buf)
		writeStatus(&w, name)
	}
	b.SetBytes(int64(w.Len()))
}

// FuzzWriter builds a value from a program of bytes, once by Writer and once as a
// Go value, and compares what encoding/json and Scanner read back.
func FuzzWriter(f *testing.F) {
	f.Fuzz(func(t *testing.T, program []byte) {
		var w jsonstream.Writer
		w.Reset(make([]byte, 8*len(program)+64))
		p := &builder{program: program, w: &w}
		want := p.value(0)
		if w.Err() != nil {
			t.Fatalf("%q: %v", w.Bytes(), w.Err())
		}
		decoder := json.NewDecoder(strings.NewReader(string(w.Bytes())))
		decoder.UseNumber()
		var got any
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%q: %v", w.Bytes(), err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q reads as %#v, want %#v", w.Bytes(), got, want)
		}
		if _, err := scan(w.Bytes(), len(program)); err != nil {
			t.Fatalf("%q: %v", w.Bytes(), err)
		}
	})
}

// builder takes its decisions from the program; past its end all are 0.
type builder struct {
	program []byte
	w       *jsonstream.Writer
}

func (p *builder) next() byte {
	if len(p.program) == 0 {
		return 0
	}
	c := p.program[0]
	p.program = p.program[1:]
	return c
}

func (p *builder) text() string {
	n := min(int(p.next()), len(p.program))
	s := string(p.program[:n])
	p.program = p.program[n:]
	return s
}

// valid is s as encoding/json replaces what is no UTF-8.
func valid(s string) string { return string([]rune(s)) }

func (p *builder) value(depth int) any {
	kind := p.next() % 8
	if depth == 15 {
		kind %= 6
	}
	switch kind {
	case 1:
		s := p.text()
		p.w.String(s)
		return valid(s)
	case 2:
		a, b := p.text(), p.text()
		p.w.BeginString()
		p.w.AppendText([]byte(a))
		p.w.AppendTextString(b)
		p.w.EndString()
		return valid(a) + valid(b)
	case 3:
		v := int64(int8(p.next())) << (p.next() % 64)
		p.w.Int(v)
		return number(v)
	case 4:
		v := uint64(p.next()) << (p.next() % 64)
		p.w.Uint(v)
		return number(v)
	case 5:
		v := p.next()%2 == 1
		p.w.Bool(v)
		return v
	case 6:
		return p.array(depth)
	case 7:
		return p.object(depth)
	}
	p.w.Null()
	return nil
}

func (p *builder) array(depth int) any {
	list := []any{}
	p.w.BeginArray()
	for range p.next() % 5 {
		list = append(list, p.value(depth+1))
	}
	p.w.EndArray()
	return list
}

func (p *builder) object(depth int) any {
	members := map[string]any{}
	p.w.BeginObject()
	for range p.next() % 5 {
		key := p.text()
		p.w.Key(key)
		members[valid(key)] = p.value(depth + 1)
	}
	p.w.EndObject()
	return members
}

func number[T int64 | uint64](v T) json.Number {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return json.Number(text)
}
