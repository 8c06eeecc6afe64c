// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"bytes"
	"strconv"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/text"
)

// Limits of one ConfigMap.
const (
	MaxKeys       = 64       // keys in data
	MaxValueBytes = 16 << 10 // bytes of all values in data
)

const (
	memoryKey = "memory_values"
	pinPrefix = "pin_"
	ledKey    = "led"
)

// values parses the members of data, in pieces, into a Staged. A value cannot
// fail: what is wrong in it becomes a Rejection. An error means that the whole
// ConfigMap is refused.
type values struct {
	into *Staged

	keys  int    // so far
	bytes int    // of all values so far
	seen  uint64 // known keys so far, a bit for each target

	target   int8 // a pin, targetMemory, targetLED or targetNone
	entryLen uint8
	space    bool           // white space came after entry
	tooLong  bool           // entry was cut
	entry    [maxEntry]byte // without white space around it, runs of it as one
}

const (
	targetMemory = MaxPins
	targetLED    = MaxPins + 1
	targetNone   = -1
)

func (v *values) reset(into *Staged) { *v = values{into: into, target: targetNone} }

// begin starts the value of key, which may be cut after maxRejectedKey bytes.
func (v *values) begin(key []byte) error {
	v.keys++
	if v.keys > MaxKeys {
		return ErrTooLarge
	}
	v.target = v.targetOf(key)
	if v.target == targetNone {
		return nil
	}
	bit := uint64(1) << v.target
	if v.seen&bit != 0 {
		return ErrDuplicateKey
	}
	v.seen |= bit
	return nil
}

// binary takes a key of binaryData, whose values are not for a board.
func (v *values) binary(key []byte) {
	if v.targetOf(key) != targetNone {
		v.into.reject(key, nil, ReasonBinary)
	}
}

// targetOf finds what a key stands for. A misspelled key and one of pin_ and a wrong
// number are meant for a board and rejected; any other is another program's.
func (v *values) targetOf(key []byte) int8 {
	switch text.View(key) {
	case memoryKey:
		return targetMemory
	case ledKey:
		return targetLED
	}
	digits, ok := text.CutPrefix(key, pinPrefix)
	if !ok || !allDigits(digits) {
		v.misspelled(key)
		return targetNone
	}
	n, ok := parseDecimal(digits)
	if !ok || n >= MaxPins {
		v.into.reject(key, nil, ReasonPinNumber)
		return targetNone
	}
	return int8(n)
}

// misspelled rejects a key that is near to one of a board's.
func (v *values) misspelled(key []byte) {
	if meant := nearest(v.into.key[:0], key); len(meant) > 0 {
		v.into.reject(key, meant, ReasonKey)
		return
	}
	v.into.Ignored++
}

// text takes the next piece of the value.
func (v *values) text(p []byte) error {
	v.bytes += len(p)
	if v.bytes > MaxValueBytes {
		return ErrTooLarge
	}
	if v.target == targetNone {
		return nil // only to save time
	}
	for _, c := range p {
		switch {
		case v.target == targetMemory && (c == ',' || c == '\n'):
			v.endEntry()
		case isSpace(c):
			v.space = v.entryLen > 0
		default:
			v.add(c)
		}
	}
	return nil
}

// end takes the end of the value.
func (v *values) end() {
	if v.target != targetNone {
		v.endEntry()
	}
}

// add appends c to the entry, and one space before it if there was white space.
func (v *values) add(c byte) {
	if v.space {
		v.space = false
		v.add(' ')
	}
	if v.entryLen == maxEntry {
		v.tooLong = true
		return
	}
	v.entry[v.entryLen] = c
	v.entryLen++
}

func (v *values) endEntry() {
	entry := v.entry[:v.entryLen]
	switch {
	case v.tooLong:
		v.reject(entry, ReasonTooLong)
	case v.target == targetLED:
		v.endLED(entry)
	case v.target != targetMemory:
		v.endPin(entry)
	case len(entry) > 0:
		v.endByte(entry)
	}
	v.entryLen, v.space, v.tooLong = 0, false, false
}

func (v *values) endPin(entry []byte) {
	state, why := ParsePinState(entry)
	if why != ReasonNone {
		v.reject(entry, why)
		return
	}
	v.into.setPin(int(v.target), state)
}

func (v *values) endLED(entry []byte) {
	state, why := ParsePinState(entry)
	if why != ReasonNone || state.Mode == board.PinPWM {
		v.reject(entry, ReasonLEDState)
		return
	}
	v.into.setLED(state.Mode)
}

func (v *values) endByte(entry []byte) {
	addr, value, why := parseEntry(entry)
	if why != ReasonNone {
		v.reject(entry, why)
		return
	}
	v.into.setByte(addr, value)
}

func (v *values) reject(entry []byte, why Reason) {
	key := v.into.key[:0] // kept out of the heap
	switch v.target {
	case targetMemory:
		key = append(key, memoryKey...)
	case targetLED:
		key = append(key, ledKey...)
	default:
		key = appendPinKey(key, int(v.target))
	}
	v.into.reject(key, entry, why)
}

// ParsePinState parses HIGH, LOW or PWM:0-255, all upper or all lower case.
// The reason is ReasonNone if p is right.
func ParsePinState(p []byte) (board.PinState, Reason) {
	switch text.View(p) {
	case "HIGH", "high":
		return board.PinState{Mode: board.PinHigh}, ReasonNone
	case "LOW", "low":
		return board.PinState{Mode: board.PinLow}, ReasonNone
	}
	duty, ok := text.CutPrefix(p, "PWM:")
	if !ok {
		duty, ok = text.CutPrefix(p, "pwm:")
	}
	if !ok {
		return board.PinState{}, ReasonPinMode
	}
	n, ok := parseNumber(duty)
	if !ok || n > 255 {
		return board.PinState{}, ReasonPinDuty
	}
	return board.PinState{Mode: board.PinPWM, Duty: uint8(n)}, ReasonNone
}

// parseEntry parses address=value. The address is in range if why is
// ReasonNone.
func parseEntry(p []byte) (addr int, value byte, why Reason) {
	left, right, ok := text.Cut(p, '=')
	if !ok {
		return 0, 0, ReasonNoValue
	}
	a, okAddr := parseNumber(bytes.TrimSpace(left))
	v, okValue := parseNumber(bytes.TrimSpace(right))
	switch {
	case !okAddr || !okValue:
		return 0, 0, ReasonNumber
	case a >= RegionSize:
		return 0, 0, ReasonAddress
	case v > 255:
		return 0, 0, ReasonValue
	}
	return int(a), byte(v), ReasonNone
}

// parseNumber parses a decimal or, behind 0x, hexadecimal number of at most
// maxEntry digits. One that overflows is returned as the largest.
func parseNumber(p []byte) (n uint32, ok bool) {
	base := uint32(10)
	if len(p) > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') {
		base, p = 16, p[2:]
	}
	for _, c := range p {
		digit := digitOf(c)
		if digit >= base {
			return 0, false
		}
		n = min(n*base+digit, 1<<24)
	}
	return n, len(p) > 0
}

// digitOf returns the value of a hexadecimal digit, 16 if c is none.
func digitOf(c byte) uint32 {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0')
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return uint32(c-'A') + 10
	}
	return 16
}

// parseDecimal parses an unsigned number as Kubernetes writes it: without a
// sign or leading zeros.
func parseDecimal(p []byte) (n uint64, ok bool) {
	if !allDigits(p) || p[0] == '0' && len(p) > 1 {
		return 0, false
	}
	for _, c := range p {
		digit := uint64(c - '0')
		if n > (1<<64-1-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

func allDigits(p []byte) bool {
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(p) > 0
}

func isSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r'
}

func appendPinKey(b []byte, n int) []byte {
	return strconv.AppendUint(append(b, pinPrefix...), uint64(n), 10)
}
