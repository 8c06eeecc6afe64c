// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package logring

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// field is a key and a value read back from a record; cut tells that the
// value, or for an empty key the record, ends by the mark of a cut.
type field struct {
	key, value string
	cut        bool
}

// parse reads logfmt as other programs do, by strconv.Unquote.
func parse(t *testing.T, line string) []field {
	t.Helper()
	var fields []field
	for rest := line; rest != ""; {
		if rest == cutMark {
			return append(fields, field{cut: true})
		}
		key, value, ok := strings.Cut(rest, "=")
		if !ok || key == "" || strings.ContainsFunc(key, func(c rune) bool { return c >= utf8.RuneSelf || !isKey(byte(c)) }) {
			t.Fatalf("no key at %q in %q", rest, line)
		}
		var f field
		f, rest = parseValue(t, value)
		f.key = key
		fields = append(fields, f)
	}
	return fields
}

func parseValue(t *testing.T, text string) (f field, rest string) {
	t.Helper()
	if !strings.HasPrefix(text, `"`) {
		f.value, rest, _ = strings.Cut(text, " ")
		f.value, f.cut = strings.CutSuffix(f.value, cutMark)
		return f, rest
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		t.Fatalf("no quoted value at %q: %v", text, err)
	}
	if f.value, err = strconv.Unquote(quoted); err != nil {
		t.Fatalf("cannot read %s: %v", quoted, err)
	}
	rest = text[len(quoted):]
	if rest != "" && rest[0] != ' ' {
		t.Fatalf("%q follows a quoted value", rest)
	}
	return f, strings.TrimPrefix(rest, " ")
}

// record returns the text of a record with one field.
func record(msg, key, value string) string {
	r := newRing(512)
	r.Begin(0, 0, Info, msg).Str(key, value).End()
	e, _ := r.Next(0)
	return string(e.Text)
}

func TestFields(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		add        func(*Record)
	}{
		{"no field", `msg="Started"`, func(*Record) {}},
		{"bare", `k=a-b/c:1,{d}`, func(r *Record) { r.Str("k", "a-b/c:1,{d}") }},
		{"empty", `k=""`, func(r *Record) { r.Str("k", "") }},
		{"space", `k="a b"`, func(r *Record) { r.Str("k", "a b") }},
		{"equals", `k="a=b"`, func(r *Record) { r.Str("k", "a=b") }},
		{"quote and backslash", `k="\"\\"`, func(r *Record) { r.Str("k", `"\`) }},
		{"line breaks", `k="\r\n\t"`, func(r *Record) { r.Str("k", "\r\n\t") }},
		{"control", `k="\x00\x1b[2J\x7f"`, func(r *Record) { r.Str("k", "\x00\x1b[2J\x7f") }},
		{"UTF-8", `k="Grüße 😀"`, func(r *Record) { r.Str("k", "Grüße 😀") }},
		{"invalid UTF-8", `k="\xff\xe2\x82"`, func(r *Record) { r.Str("k", "\xff\xe2\x82") }},
		{"C1 control", `k="\u0085"`, func(r *Record) { r.Str("k", "\u0085") }},
		{"line separator", `k="\u2028"`, func(r *Record) { r.Str("k", "\u2028") }},
		{"right-to-left override", `k="\u202etxt"`, func(r *Record) { r.Str("k", "\u202etxt") }},
		{"unassigned plane", `k="\U000e0001"`, func(r *Record) { r.Str("k", "\U000e0001") }},
		{"replacement character", `k="` + "\ufffd" + `"`, func(r *Record) { r.Str("k", "\ufffd") }},
		{"bytes", `k="a\nb"`, func(r *Record) { r.Bytes("k", []byte("a\nb")) }},
		{"no bytes", `k=""`, func(r *Record) { r.Bytes("k", nil) }},
		{"key", `a_b__c=v`, func(r *Record) { r.Str("a b=\"c", "v") }},
		{"empty key", `_=v`, func(r *Record) { r.Str("", "v") }},
		{"least integer", `n=-9223372036854775808`, func(r *Record) { r.Int("n", math.MinInt64) }},
		{"duration", `d=2.5s`, func(r *Record) { r.Dur("d", 2500*time.Millisecond) }},
		{"no duration", `d=0s`, func(r *Record) { r.Dur("d", 0) }},
		{"nanosecond", `d=-0.000000001s`, func(r *Record) { r.Dur("d", -1) }},
		{"least duration", `d=-9223372036.854775808s`, func(r *Record) { r.Dur("d", math.MinInt64) }},
		{"error", `err="dial: refused"`, func(r *Record) { r.Err(errors.New("dial: refused")) }},
		{"no error", `msg="Started"`, func(r *Record) { r.Err(nil) }},
		{"order", `a=1 b=2 c=3s`, func(r *Record) { r.Str("a", "1").Int("b", 2).Dur("c", 3*time.Second) }},
	} {
		r := newRing(512)
		rec := r.Begin(0, 0, Info, "Started")
		tc.add(rec)
		rec.End()
		e, _ := r.Next(0)
		if !strings.HasPrefix(tc.want, "msg=") {
			tc.want = `msg="Started" ` + tc.want
		}
		if string(e.Text) != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, e.Text, tc.want)
		}
	}
}

// TestCut lets each kind of field cross the limit at every offset.
func TestCut(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("äb\n\"\x01", 20)
	for pad := range 300 {
		msg := strings.Repeat("m", pad)
		for name, add := range map[string]func(*Record) *Record{
			"bare":   func(r *Record) *Record { return r.Str("k", strings.Repeat("v", 100)) },
			"quoted": func(r *Record) *Record { return r.Str("k", value) },
			"number": func(r *Record) *Record { return r.Int("k", 1234567890) },
			"key":    func(r *Record) *Record { return r.Int(strings.Repeat("k", 20), 1) },
			"empty":  func(r *Record) *Record { return r.Str("k", "") },
		} {
			r := newRing(512)
			add(add(r.Begin(0, 0, Info, msg))).Str("last", "").End()
			e, _ := r.Next(0)
			checkCut(t, name, pad, string(e.Text))
		}
	}
}

func checkCut(t *testing.T, name string, pad int, text string) {
	t.Helper()
	if len(text) > MaxText || !utf8.ValidString(text) {
		t.Fatalf("%s at %d: %d bytes: %q", name, pad, len(text), text)
	}
	fields := parse(t, text)
	whole := strings.HasSuffix(text, ` last=""`)
	marked := strings.HasSuffix(text, cutMark) || strings.HasSuffix(text, cutMark+`"`)
	if whole == marked {
		t.Fatalf("%s at %d: all fields there: %v, marked as cut: %v: %s", name, pad, whole, marked, text)
	}
	if marked && len(text) < MaxText-30 {
		t.Fatalf("%s at %d: cut at %d bytes already: %s", name, pad, len(text), text)
	}
	for _, f := range fields[1:] {
		if name == "number" && f.key == "k" && f.value != "1234567890" {
			t.Fatalf("a number was cut: %s", text)
		}
	}
}

func TestAppendText(t *testing.T) {
	t.Parallel()
	unix := time.Date(2026, 2, 28, 23, 59, 59, 1000, time.UTC).UnixMicro()
	for _, tc := range []struct {
		entry Entry
		want  string
	}{
		{Entry{Unix: unix, Level: Warn, Text: []byte("msg=x")}, "2026-02-28T23:59:59.000001Z WARN msg=x"},
		{Entry{At: 12345678 * time.Microsecond, Level: Info, Text: []byte("msg=x")}, "+12.345s INFO msg=x"},
		{Entry{At: 40 * 24 * time.Hour, Level: Error}, "+3456000.000s ERROR "},
		{Entry{At: -1}, "+0.000s DEBUG "},
		{Entry{At: 7 * time.Millisecond}, "+0.007s DEBUG "},
	} {
		if got := string(tc.entry.AppendText([]byte("> "))); got != "> "+tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestSecondsParseBack(t *testing.T) {
	t.Parallel()
	for d := time.Duration(1); d > 0 && d < math.MaxInt64/7; d *= 7 {
		for _, d := range []time.Duration{d, -d} {
			text := string(appendSeconds(nil, d))
			if got, err := time.ParseDuration(text); err != nil || got != d {
				t.Errorf("%d is written %s and read %d, %v", d, text, got, err)
			}
		}
	}
}

// FuzzRecord: whatever the texts are, a record is one line of printable
// UTF-8 that parses back to them, or to a beginning of them marked as cut.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"", "v", "a b", "x\nlevel=ERROR", `" forged="1`, `\`, "\xff", "\u202e\u2028", strings.Repeat("\x00", 300), cutMark, "=…"} {
		f.Add(s, s, uint16(500))
		f.Add("Message", s, uint16(40))
	}
	f.Fuzz(func(t *testing.T, msg, value string, size uint16) {
		r := newRing(MinBuffer + int(size)%600)
		for range 3 {
			r.Begin(0, 0, Info, msg).Str("s", value).Bytes("b", []byte(value)).Int("n", -7).End()
		}
		all := texts(t, r)
		if len(all) == 0 {
			t.Fatal("no record was kept")
		}
		for _, text := range all {
			checkParsesBack(t, text, []field{{key: "msg", value: msg}, {key: "s", value: value}, {key: "b", value: value}, {key: "n", value: "-7"}})
		}
	})
}

func checkParsesBack(t *testing.T, text string, want []field) {
	t.Helper()
	unprintable := func(c rune) bool { return c != ' ' && unicode.In(c, unicode.Cc, unicode.Cf, unicode.Co, unicode.Z) }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
		t.Fatalf("not printable: %q", text)
	}
	cut := strings.HasSuffix(text, cutMark) || strings.HasSuffix(text, cutMark+`"`)
	got := parse(t, text)
	if len(got) > len(want) || len(got) < len(want) && !cut {
		t.Fatalf("%d fields in %q, want %d", len(got), text, len(want))
	}
	for i, f := range got {
		last := i == len(got)-1
		switch {
		case f == want[i]:
		case last && cut && f.key == "" && f.cut:
		case last && cut && f.key == want[i].key && strings.HasPrefix(want[i].value, strings.TrimSuffix(f.value, cutMark)):
		default:
			t.Fatalf("field %d of %q is %+v, want %+v", i, text, f, want[i])
		}
	}
}

func TestHostileValueForgesNothing(t *testing.T) {
	t.Parallel()
	text := record("Got", "value", "x\"\n2026-01-01T00:00:00.000000Z ERROR msg=\"Forged\" node=pico-2")
	if got := parse(t, text); len(got) != 2 || strings.Contains(text, "\n") || strings.Contains(text, `msg="Forged"`) {
		t.Errorf("forged: %s", text)
	}
}
