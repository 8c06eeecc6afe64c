// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", `""`},
		{"pin_1", `"pin_1"`},
		{"a \"b\" \\ c", `"a \"b\" \\ c"`},
		{"\x00\a\t\n\r\x1b\x7f", `"\x00\x07\t\n\r\x1b\x7f"`},
		{"höher · 高い 🦔", `"höher · 高い 🦔"`},
		{"\xff\xc3\xe2\x82", `"\xff\xc3\xe2\x82"`},
		{"\u00a0\u202e\ufeff\U000e0041", `"\u00a0\u202e\ufeff\U000e0041"`},
		{"\ufffd", `"` + "\ufffd" + `"`}, // itself, and no sign of an error
	} {
		if got := string(Append([]byte("> "), []byte(test.text))); got != "> "+test.want {
			t.Errorf("Append(%q) = %s, want %s", test.text, got, test.want)
		}
	}
}

// Every character of the planes in use: what strconv prints stands for itself, and what is invisible
// or no character does not.
func TestEveryCharacter(t *testing.T) {
	t.Parallel()
	var text, got []byte
	for char := rune(0); char <= unicode.MaxRune; char++ {
		if char > 0x20000 {
			char += 16 // ideographs, and planes of nothing: some do
		}
		if !utf8.ValidRune(char) {
			continue
		}
		var size int
		text = utf8.AppendRune(text[:0], char)
		got, size = AppendChar(got[:0], text)
		if size != len(text) || len(got) > MaxChar {
			t.Fatalf("%U: %d bytes of %d, as %s", char, size, len(text), got)
		}
		itself := string(got) == string(text)
		switch {
		case char == '"' || char == '\\' || unicode.In(char, unicode.Cc, unicode.Cf, unicode.Co, unicode.Z) && char != ' ':
			if itself {
				t.Errorf("%U is not escaped", char)
			}
		case strconv.IsPrint(char) && !itself:
			t.Errorf("%U is escaped: %s", char, got)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	buf, text := make([]byte, 0, 64), []byte("a\n\xff\u202eb")
	if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// strconv reads back what was written, to the byte, and sees nothing after it.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{"", "a\"b", "\\", "\xff\u202e\n", strings.Repeat("é", 3), "\U0010ffff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := Append(nil, text)
		back, err := strconv.Unquote(string(got))
		if err != nil || back != string(text) {
			t.Errorf("%q became %s, which reads %q, %v", text, got, back, err)
		}
		if len(got) > 4*len(text)+2 {
			t.Errorf("%q became %d bytes", text, len(got))
		}
	})
}
