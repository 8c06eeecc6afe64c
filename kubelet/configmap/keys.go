// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import "github.com/picolet/picolet/kubelet/text"

// maxPlainKey is the longest misspelled key, without its separators.
const maxPlainKey = len("memoryvalues")

// pinWords begin misspelled keys of pins; the last two are on the pinout of a Pico.
var pinWords = [...]string{"pin", "gpio", "gp"}

// nearest appends the key that a misspelled one is meant for, found without regard
// to case and separators: pin_2 for Pin-2, pin2 and GP2. It appends nothing for a key
// that is another program's.
func nearest(dst, key []byte) []byte {
	var buf [maxPlainKey]byte
	plain := buf[:0]
	for _, c := range key {
		switch {
		case c == '_' || c == '-' || c == '.':
			continue
		case len(plain) == maxPlainKey:
			return dst
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		plain = append(plain, c)
	}
	switch text.View(plain) {
	case "memoryvalues", "memoryvalue", "memory":
		return append(dst, memoryKey...)
	case ledKey:
		return append(dst, ledKey...)
	}
	for _, word := range pinWords {
		digits, ok := text.CutPrefix(plain, word)
		if n, okNumber := parseDecimal(digits); ok && okNumber && n < MaxPins {
			return appendPinKey(dst, int(n))
		}
	}
	return dst
}
