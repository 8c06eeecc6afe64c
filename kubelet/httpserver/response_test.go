// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestResponseAppends(t *testing.T) {
	t.Parallel()
	for want, write := range map[string]func(w *Response){
		"":                      func(w *Response) {},
		"abc":                   func(w *Response) { w.String("a"); w.Byte('b'); w.Bytes([]byte("c")) },
		"18446744073709551615":  func(w *Response) { w.Uint(math.MaxUint64) },
		"-9223372036854775808":  func(w *Response) { w.Int(math.MinInt64) },
		"21.500":                func(w *Response) { w.Decimal(21500, 3) },
		"-0.005":                func(w *Response) { w.Decimal(-5, 3) },
		"0.000000001":           func(w *Response) { w.Decimal(1, 9) },
		"7":                     func(w *Response) { w.Decimal(7, 0) },
		"8":                     func(w *Response) { w.Decimal(8, -1) },
		"-9.223372036854775808": func(w *Response) { w.Decimal(math.MinInt64, 99) },
		`{"a":1}`:               func(w *Response) { writeObject(w) },
		`[{"a":1},{"a":1}]`: func(w *Response) {
			w.Byte('[')
			writeObject(w)
			w.Byte(',')
			writeObject(w)
			w.Byte(']')
		},
		"<pin>": func(w *Response) { w.Byte('<'); w.Extend(append(w.Rest(), "pin"...)); w.Byte('>') },
	} {
		var w Response
		w.reset(make([]byte, 40))
		write(&w)
		if got := string(w.buf[:w.Len()]); got != want || w.Overflowed() {
			t.Errorf("got %q, want %q; overflowed %v", got, want, w.Overflowed())
		}
	}
}

func writeObject(w *Response) {
	j := w.JSON()
	j.BeginObject()
	j.IntMember("a", 1)
	j.EndObject()
}

// TestResponseOverflows: each writer, in a buffer one byte too small, writes
// nothing past its end, and says so until the part is taken back.
func TestResponseOverflows(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(w *Response){
		"String":     func(w *Response) { w.String("abc") },
		"Bytes":      func(w *Response) { w.Bytes([]byte("abc")) },
		"Byte":       func(w *Response) { w.Byte('a'); w.Byte('b'); w.Byte('c') },
		"Uint":       func(w *Response) { w.Uint(123) },
		"Int":        func(w *Response) { w.Int(-12) },
		"Decimal":    func(w *Response) { w.Decimal(12, 1) },
		"JSON":       func(w *Response) { w.JSON().Int(123) },
		"Extend":     func(w *Response) { w.Extend(append(w.Rest(), "abc"...)) },
		"unfinished": func(w *Response) { w.JSON().BeginArray() },
		"unused":     func(w *Response) { w.JSON() },
		"afterwards": func(w *Response) { w.String("abc"); w.Byte('a') },
	} {
		behind := []byte("##..**")
		var w Response
		w.reset(behind[:4])
		w.String("::")
		w.base = w.Len()
		write(&w)
		if !w.Overflowed() || string(behind[4:]) != "**" {
			t.Errorf("%s: overflowed %v, buffer %q", name, w.Overflowed(), behind)
		}
		if w.rewind(); w.Overflowed() || string(w.buf[:w.Len()]) != "::" {
			t.Errorf("%s: %q after rewind", name, w.buf[:w.Len()])
		}
	}
}

// TestWriteStatus: the parts before stay, what this part wrote is replaced.
func TestWriteStatus(t *testing.T) {
	t.Parallel()
	var w Response
	w.reset(make([]byte, 300))
	w.String("before")
	w.base = w.Len()
	w.String(strings.Repeat("too much", 99))
	WriteStatus(&w, 200, "", `said "so"`)
	var got map[string]any
	text, found := strings.CutPrefix(string(w.buf[:w.Len()]), "before")
	if err := json.Unmarshal([]byte(text), &got); err != nil || !found {
		t.Fatalf("%v in %q", err, text)
	}
	if _, has := got["reason"]; has || got["status"] != "Success" || got["message"] != `said "so"` || got["code"] != 200.0 {
		t.Errorf("got %v", got)
	}
	if w.Status != 200 || w.ContentType != "application/json" {
		t.Errorf("Status %d, ContentType %q", w.Status, w.ContentType)
	}
}

func TestSendable(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{0: false, 101: false, 199: false, 200: true, 204: false, 205: false, 304: false, 404: true, 599: true, 600: false} {
		w := Response{Status: status}
		if got := w.sendable(); got != want {
			t.Errorf("status %d: sendable %v, want %v", status, got, want)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER a b": "a b",
		"": "", "Bearer": "", "Bearer ": "", "Bearer\tabc": "", "Basic abc": "", "BearerXabc": "", "\x02earer abc": "",
	} {
		if got := string(bearer([]byte(header))); got != want {
			t.Errorf("%q: token %q, want %q", header, got, want)
		}
	}
	for got, want := range map[string]bool{"secret": true, "secre": false, "secretx": false, "tecret": false, "secreT": false, "": false} {
		if sameToken([]byte(got), "secret") != want {
			t.Errorf("sameToken(%q): %v", got, !want)
		}
	}
}
