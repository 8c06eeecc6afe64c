// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Errors of a file whose bytes are not UTF-8 text.
var (
	ErrUTF16   = errors.New("the file is UTF-16, or no text: save it as \"CSV UTF-8\"")
	ErrNotUTF8 = errors.New("the file is not UTF-8 but, for example, Windows-1252: save it as \"CSV UTF-8\"")
)

// plainText is the text of a file, all its line ends LF: Excel for Mac writes CR,
// other spreadsheets CRLF. The byte order mark that they write is left out. The
// error is Problems, with the place of the first byte that is wrong.
func plainText(file []byte) (string, error) {
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) {
		return "", Problems{{Line: 1, Err: ErrUTF16}}
	}
	text := strings.TrimPrefix(string(file), "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	if at := strings.IndexByte(text, 0); at >= 0 {
		return "", problemAt(text, at, ErrUTF16)
	}
	if at := invalidAt(text); at >= 0 {
		return "", problemAt(text, at, ErrNotUTF8)
	}
	return text, nil
}

// invalidAt is where the first byte is that is not UTF-8; -1: nowhere.
func invalidAt(text string) int {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return -1
}

func problemAt(text string, at int, err error) Problems {
	before := text[:at]
	return Problems{{Line: 1 + strings.Count(before, "\n"), Column: at - strings.LastIndexByte(before, '\n'), Err: err}}
}
