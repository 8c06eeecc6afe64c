// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonstream_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/picolet/picolet/kubelet/jsonstream"
)

// item is a token with the parts of its text joined.
type item struct {
	kind  jsonstream.Kind
	text  string
	depth int
}

// scan feeds in by pieces of the given size (0: all at once), each in memory of
// its own that is overwritten afterwards.
func scan(in []byte, size int) ([]item, error) {
	if size == 0 {
		size = max(len(in), 1)
	}
	return scanPieces(slices.Collect(slices.Chunk(in, size)))
}

func scanPieces(pieces [][]byte) ([]item, error) {
	var (
		s     jsonstream.Scanner
		items []item
		text  string
	)
	take := func(tok jsonstream.Token) {
		text += string(tok.Text)
		if tok.Kind != jsonstream.NeedMore && !tok.More {
			items = append(items, item{tok.Kind, text, tok.Depth})
			text = ""
		}
	}
	for _, piece := range pieces {
		piece = bytes.Clone(piece)
		for rest := piece; ; {
			tok, n, err := s.Next(rest)
			if err != nil {
				return items, err
			}
			take(tok)
			rest = rest[n:]
			if tok.Kind == jsonstream.NeedMore {
				break
			}
		}
		clear(piece)
	}
	for {
		tok, err := s.Finish()
		if err != nil || tok.Kind == jsonstream.NeedMore {
			return items, err
		}
		take(tok)
	}
}

var accepted = map[string]string{ // input: tokens as show prints them
	``:                    ``,
	" \t\r\n":             ``,
	`null`:                `0:null`,
	` true `:              `0:true`,
	`false`:               `0:false`,
	`0`:                   `0:#0`,
	`-0`:                  `0:#-0`,
	`-0.0e-0`:             `0:#-0.0e-0`,
	"12.50E+10\n":         `0:#12.50E+10`,
	`1e5`:                 `0:#1e5`,
	`[]`:                  `0:[ 0:]`,
	`{}`:                  `0:{ 0:}`,
	`[0,-1.5,true,"",{}]`: `0:[ 1:#0 1:#-1.5 1:true 1:"" 1:{ 1:} 0:]`,
	` { "a" : [ 1 , { "b" : null } ] , "c" : false } `: `0:{ 1:a= 1:[ 2:#1 2:{ 3:b= 3:null 2:} 1:] 1:c= 1:false 0:}`,
	`{"":1,"":2}`:                  `0:{ 1:= 1:#1 1:= 1:#2 0:}`,
	`1 2 "a""b"{}[]truefalse null`: `0:#1 0:#2 0:"a" 0:"b" 0:{ 0:} 0:[ 0:] 0:true 0:false 0:null`,
	`"\"\\\/\b\f\n\r\t"`:           "0:\"\"\\/\b\f\n\r\t\"",
	`"\u0041\u00e9\u20AC\u0000"`:   "0:\"Aé€\x00\"",
	`"\ud83d\ude00"`:               `0:"😀"`,
	`"\uD83D\uDE00x"`:              `0:"😀x"`,
	`"\ud83d"`:                     "0:\"\uFFFD\"",
	`"\ude00"`:                     "0:\"\uFFFD\"",
	`"\ud83dx"`:                    "0:\"\uFFFDx\"",
	`"\ud83d\n"`:                   "0:\"\uFFFD\n\"",
	`"\ud83d\u0041"`:               "0:\"\uFFFDA\"",
	`"\ud83d\ud83d\ude00"`:         "0:\"\uFFFD😀\"",
	`"\ud83dé"`:                    "0:\"\uFFFDé\"",
	"\"\xff\xfe\"":                 "0:\"\uFFFD\uFFFD\"",
	"\"\xe2\x82\"":                 "0:\"\uFFFD\uFFFD\"",
	"\"\xe2\x82A\"":                "0:\"\uFFFD\uFFFDA\"",
	"\"\xf0\x9f\x98\xe2\x82\xac\"": "0:\"\uFFFD\uFFFD\uFFFD€\"",
	"\"\xe2\x82\\n\"":              "0:\"\uFFFD\uFFFD\n\"",
	"\"\xed\xa0\x80\"":             "0:\"\uFFFD\uFFFD\uFFFD\"",
	"\"\xc0\xaf\"":                 "0:\"\uFFFD\uFFFD\"",
	"\"\x7f\u2028€😀\"":             "0:\"\x7f\u2028€😀\"",
	"{\"\xff\\ud800\":0}":          "0:{ 1:\uFFFD\uFFFD= 1:#0 0:}",
}

func show(items []item) string {
	names := []string{"", "{", "}", "[", "]", "=", `"`, "#", "true", "false", "null"}
	var words []string
	for _, i := range items {
		word := string(rune('0'+i.depth)) + ":"
		switch i.kind {
		case jsonstream.Key:
			word += i.text + "="
		case jsonstream.String:
			word += `"` + i.text + `"`
		default:
			word += names[i.kind] + i.text
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestScannerAccepts(t *testing.T) {
	t.Parallel()
	for in, want := range accepted {
		for size := range len(in) + 1 {
			items, err := scan([]byte(in), size)
			if err != nil || show(items) != want {
				t.Errorf("%q by %d bytes: %q, %v; want %q", in, size, show(items), err, want)
			}
		}
		for split := range len(in) {
			items, err := scanPieces([][]byte{[]byte(in[:split]), nil, []byte(in[split:])})
			if err != nil || show(items) != want {
				t.Errorf("%q split at %d: %q, %v; want %q", in, split, show(items), err, want)
			}
		}
	}
}

func TestScannerRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in     string
		offset int64 // of the wrong byte; the length if the end is wrong
	}{
		{`nul`, 3}, {`nulL`, 3}, {`True`, 0}, {`tru e`, 3}, {`falsy`, 4},
		{`x`, 0}, {`'a'`, 0}, {`NaN`, 0}, {`Infinity`, 0}, {"\ufeff1", 0}, {`// c`, 0}, {`,`, 0}, {`:`, 0}, {"\v1", 0}, {"\x00", 0}, {"\u00a01", 0},
		{`]`, 0}, {`}`, 0}, {`[}`, 1}, {`{]`, 1}, {`[1}`, 2}, {`{"a":1]`, 6}, {`[]]`, 2}, {`[`, 1}, {`[[]`, 3},
		{`[,]`, 1}, {`[1,]`, 3}, {`[1,,2]`, 3}, {`[1 2]`, 3}, {`["a" "b"]`, 5}, {`[1`, 2}, {`[1,`, 3},
		{`{,}`, 1}, {`{"a"}`, 4}, {`{"a",1}`, 4}, {`{"a":}`, 5}, {`{"a"::1}`, 5}, {`{"a":1,}`, 7}, {`{"a":1,,}`, 7}, {`{a:1}`, 1},
		{`{1:1}`, 1}, {`{"a":1 "b":2}`, 7}, {`{"a":1`, 6}, {`{"a":`, 5}, {`{"a"`, 4}, {`{`, 1}, {`{"a":1,`, 7}, {`{null:1}`, 1},
		{`-`, 1}, {`+1`, 0}, {`--1`, 1}, {`01`, 1}, {`-01`, 2}, {`00`, 1}, {`1.`, 2}, {`1.e1`, 2}, {`.5`, 0}, {`-.5`, 1}, {`1e`, 2},
		{`1e+`, 3}, {`1e+-1`, 3}, {`1e1.5`, 3}, {`1.5.5`, 3}, {`0x1`, 1}, {`1_000`, 1}, {`1a`, 1}, {`1"a"`, 1}, {`1[`, 1}, {`1,`, 1}, {`[1.]`, 3}, {`[-]`, 2}, {`[1e]`, 3},
		{`"`, 1}, {`"a`, 2}, {`"\`, 2}, {`"\a"`, 2}, {`"\x41"`, 2}, {`"\'"`, 2}, {`"\U0041"`, 2}, {`"\u`, 3}, {`"\u00`, 5}, {`"\u00g0"`, 5}, {`"\u 041"`, 3}, {`"\ud83d\x"`, 8},
		{"\"\n\"", 1}, {"\"\t\"", 1}, {"\"\x00\"", 1}, {"\"\x1f\"", 1}, {"\"\xe2\x82\x01\"", 3}, {"{\"\n\":1}", 2},
		{`"a"x`, 3}, {`{}x`, 2}, {`null,`, 4}, {`[1]:`, 3},
	}
	for _, test := range tests {
		want := jsonstream.ErrSyntax
		if test.offset == int64(len(test.in)) {
			want = jsonstream.ErrUnexpectedEnd
		}
		for size := range len(test.in) + 1 {
			if _, err := scan([]byte(test.in), size); err != want {
				t.Errorf("%q by %d bytes: %v, want %v", test.in, size, err, want)
			}
		}
		if got := consumed(test.in); got != test.offset {
			t.Errorf("%q: offset %d, want %d", test.in, got, test.offset)
		}
	}
}

// consumed returns Offset at the error or at the end, and checks it on the way.
func consumed(in string) int64 {
	var s jsonstream.Scanner
	rest := []byte(in)
	for {
		tok, n, err := s.Next(rest)
		rest = rest[n:]
		if s.Offset() != int64(len(in)-len(rest)) {
			return -1
		}
		if err != nil || tok.Kind == jsonstream.NeedMore {
			return s.Offset()
		}
	}
}

func TestScannerErrorsStay(t *testing.T) {
	t.Parallel()
	var s jsonstream.Scanner
	if _, n, err := s.Next([]byte("x")); n != 0 || err != jsonstream.ErrSyntax {
		t.Fatalf("n = %d, %v", n, err)
	}
	if _, n, err := s.Next([]byte("1 ")); n != 0 || err != jsonstream.ErrSyntax {
		t.Errorf("Next after an error: n = %d, %v", n, err)
	}
	if _, err := s.Finish(); err != jsonstream.ErrSyntax {
		t.Errorf("Finish after an error: %v", err)
	}
	s.Reset()
	if tok, n, err := s.Next([]byte("1 ")); tok.Kind != jsonstream.Number || n != 1 || err != nil {
		t.Errorf("after Reset: %v, n = %d, %v", tok.Kind, n, err)
	}
}

func TestScannerNesting(t *testing.T) {
	t.Parallel()
	for _, unit := range [][2]string{{"[", "]"}, {`{"k":`, "}"}, {`[{"a":0,"k":`, "}]"}} {
		perUnit := strings.Count(unit[0], "[") + strings.Count(unit[0], "{")
		for depth, want := range map[int]error{32 / perUnit: nil, 32/perUnit + 1: jsonstream.ErrNesting} {
			in := strings.Repeat(unit[0], depth) + "1" + strings.Repeat(unit[1], depth)
			if _, err := scan([]byte(in), 0); err != want {
				t.Errorf("%d times %q: %v, want %v", depth, unit[0], err, want)
			}
		}
	}
}

func TestScannerNumberSize(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("7", jsonstream.PartSize)
	if items, err := scan([]byte(digits), 10); err != nil || items[0].text != digits {
		t.Errorf("%d digits: %v", len(digits), err)
	}
	if _, err := scan([]byte(digits+"7"), 10); err != jsonstream.ErrNumber {
		t.Errorf("%d digits: %v, want ErrNumber", len(digits)+1, err)
	}
}

// TestScannerParts looks at the parts of long strings: whole up to PartSize, cut
// only between characters, the same for all pieces of input.
func TestScannerParts(t *testing.T) {
	t.Parallel()
	units := []string{"a", `\n`, "é", "€", "😀", `\ud83d\ude00`, `\ud83d`, "\xff", "\xf0\x9f\x98", `\u20ac`}
	lengths := []int{1, 2, 300}
	for _, decoded := range []int{1, 2, 3, 4, 9} { // bytes that a unit decodes to
		for length := jsonstream.PartSize/decoded - 4; length <= jsonstream.PartSize/decoded+1; length++ {
			lengths = append(lengths, length)
		}
	}
	for _, unit := range units {
		for lead := range 4 {
			for _, length := range lengths {
				checkParts(t, `"`+strings.Repeat("x", lead)+strings.Repeat(unit, length)+`"`)
			}
		}
	}
}

func TestScannerLongKey(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k€", 200)
	want := []item{{jsonstream.BeginObject, "", 0}, {jsonstream.Key, key, 1}, {jsonstream.String, key, 1}, {jsonstream.EndObject, "", 0}}
	in := `{"` + key + `":"` + key + `"}`
	for size := 1; size <= 150; size++ {
		if items, err := scan([]byte(in), size); err != nil || !slices.Equal(items, want) {
			t.Fatalf("by %d bytes: %v, %v", size, items, err)
		}
	}
}

func checkParts(t *testing.T, in string) {
	t.Helper()
	var want string
	if err := json.Unmarshal([]byte(in), &want); err != nil {
		t.Fatal(err)
	}
	whole := parts(t, in, len(in))
	for i, part := range whole {
		if len(part) > jsonstream.PartSize+9 || !utf8.ValidString(part) || part == "" {
			t.Fatalf("%q: part %d is %q", in, i, part)
		}
	}
	if joined := strings.Join(whole, ""); joined != want {
		t.Fatalf("%q: got %q, want %q", in, joined, want)
	}
	if len(want) <= jsonstream.PartSize && len(whole) != 1 {
		t.Fatalf("%q: %d parts", in, len(whole))
	}
	if byByte := parts(t, in, 1); !slices.Equal(byByte, whole) {
		t.Fatalf("%q: parts differ by byte: %q, %q", in, byByte, whole)
	}
}

func parts(t *testing.T, in string, size int) (all []string) {
	t.Helper()
	var s jsonstream.Scanner
	for piece := range slices.Chunk([]byte(in), size) {
		for len(piece) > 0 {
			tok, n, err := s.Next(piece)
			if err != nil {
				t.Fatalf("%q: %v", in, err)
			}
			piece = piece[n:]
			if tok.Kind == jsonstream.String {
				all = append(all, string(tok.Text))
				if !tok.More {
					return all
				}
			}
		}
	}
	t.Fatalf("%q: no end", in)
	return nil
}

func TestScannerSize(t *testing.T) {
	t.Parallel()
	size := unsafe.Sizeof(jsonstream.Scanner{})
	t.Logf("Scanner %d bytes, Writer %d bytes", size, unsafe.Sizeof(jsonstream.Writer{}))
	if size > 200 {
		t.Errorf("Scanner has %d bytes, more than 200", size)
	}
}

var watchEvent = []byte(`{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"pico-config",` +
	`"namespace":"default","uid":"0b1c7a52-6a3c-4d0e-9c1e-0d6f6a1d2c3b","resourceVersion":"81273","creationTimestamp":"2026-01-02T03:04:05Z"},` +
	`"data":{"memory_values":"0=0x42,1=0x43","text":"` + strings.Repeat("a long \\u00e9 line\\n", 40) + `"}}}` + "\n")

func drain(s *jsonstream.Scanner, in []byte) error {
	for {
		tok, n, err := s.Next(in)
		if err != nil || tok.Kind == jsonstream.NeedMore {
			return err
		}
		in = in[n:]
	}
}

func TestScannerAllocatesNothing(t *testing.T) {
	var s jsonstream.Scanner
	if n := testing.AllocsPerRun(100, func() {
		if err := drain(&s, watchEvent); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkScanner(b *testing.B) {
	var s jsonstream.Scanner
	b.ReportAllocs()
	b.SetBytes(int64(len(watchEvent)))
	for b.Loop() {
		if err := drain(&s, watchEvent); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzScanner compares with encoding/json: the same single values are accepted,
// as the same tokens, however the input is cut.
func FuzzScanner(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		items, err := scanPieces(cut(in, seed))
		again, errAgain := scan(in, 0)
		if err != errAgain || !slices.Equal(items, again) {
			t.Fatalf("%q: cut %v, %v; whole %v, %v", in, items, err, again, errAgain)
		}
		switch {
		case err == jsonstream.ErrNesting && bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) > 32:
			return
		case err == jsonstream.ErrNumber && len(in) > jsonstream.PartSize:
			return
		}
		single := err == nil && topValues(items) == 1
		if valid := json.Valid(in); single != valid {
			t.Fatalf("%q: %v, %v; encoding/json says %v", in, items, err, valid)
		}
		if want := reference(in); single && !slices.Equal(items, want) {
			t.Fatalf("%q: got %v, want %v", in, items, want)
		}
	})
}

// cut splits in at random places.
func cut(in []byte, seed uint64) (pieces [][]byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	for len(in) > 0 {
		n := min(random.IntN(8), len(in))
		pieces = append(pieces, in[:n])
		in = in[n:]
	}
	return pieces
}

func topValues(items []item) (n int) {
	for _, i := range items {
		if i.depth == 0 && i.kind != jsonstream.EndObject && i.kind != jsonstream.EndArray {
			n++
		}
	}
	return n
}

// reference returns the tokens of encoding/json.
func reference(in []byte) (items []item) {
	decoder := json.NewDecoder(bytes.NewReader(in))
	decoder.UseNumber()
	var keyDue []bool // of each open container: an object that waits for a key or its end
	isObject := []bool{}
	for {
		tok, err := decoder.Token()
		if err != nil {
			return items
		}
		depth := len(keyDue)
		i := item{depth: depth}
		switch tok := tok.(type) {
		case json.Delim:
			i.kind = map[json.Delim]jsonstream.Kind{'{': jsonstream.BeginObject, '}': jsonstream.EndObject,
				'[': jsonstream.BeginArray, ']': jsonstream.EndArray}[tok]
		case string:
			i.kind, i.text = jsonstream.String, tok
			if depth > 0 && keyDue[depth-1] {
				i.kind = jsonstream.Key
			}
		case json.Number:
			i.kind, i.text = jsonstream.Number, tok.String()
		case bool:
			i.kind = jsonstream.False
			if tok {
				i.kind = jsonstream.True
			}
		case nil:
			i.kind = jsonstream.Null
		}
		if i.kind == jsonstream.EndObject || i.kind == jsonstream.EndArray {
			keyDue, isObject = keyDue[:depth-1], isObject[:depth-1]
			i.depth--
		} else if depth > 0 {
			keyDue[depth-1] = isObject[depth-1] && i.kind != jsonstream.Key
		}
		if i.kind == jsonstream.BeginObject || i.kind == jsonstream.BeginArray {
			keyDue = append(keyDue, i.kind == jsonstream.BeginObject)
			isObject = append(isObject, i.kind == jsonstream.BeginObject)
		}
		items = append(items, i)
	}
}
