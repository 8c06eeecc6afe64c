// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

// nearKeys are the words that misspelled keys consist of, without regard to case and
// separators, and the keys that they are meant for. Those of pins are followed by a
// number; GP and GPIO are on the pinout of a Pico.
var nearKeys = [...]struct {
	word, key string
}{
	{"memoryvalues", memoryKey}, {"memoryvalue", memoryKey}, {"memory", memoryKey}, {ledKey, ledKey},
	{"pin", pinPrefix}, {"gpio", pinPrefix}, {"gp", pinPrefix},
}

// nearest appends the key that a misspelled one is meant for: pin_2 for Pin-2, pin2
// and GP2. It appends nothing for a key that is another program's.
func nearest(dst, key []byte) []byte {
	for i := range nearKeys {
		near := &nearKeys[i]
		rest, ok := cutWord(key, near.word)
		if !ok {
			continue
		}
		n, isNumber := parseDecimal(rest)
		switch {
		case near.key != pinPrefix && len(rest) == 0:
			return append(dst, near.key...)
		case near.key == pinPrefix && isNumber && n < MaxPins:
			return appendPinKey(dst, int(n))
		}
	}
	return dst
}

// cutWord cuts word off the front of key, and separators.
func cutWord(key []byte, word string) (rest []byte, ok bool) {
	for len(key) > 0 {
		c := key[0] | 0x20 // lower case
		switch {
		case c == '_'|0x20 || c == '-' || c == '.':
		case word == "":
			return key, true
		case c != word[0]:
			return nil, false
		default:
			word = word[1:]
		}
		key = key[1:]
	}
	return nil, word == ""
}
