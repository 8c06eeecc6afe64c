// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"unicode/utf8"

	"github.com/picolet/picolet/kubelet/quote"
)

// Reason says why an entry was not applied.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = iota
	ReasonAddress          // the address is outside the region
	ReasonValue            // the value does not fit a byte
	ReasonNumber           // the address or the value is no number
	ReasonNoValue          // the entry has no equals sign
	ReasonTooLong          // the entry is longer than any right one
	ReasonPinNumber        // the key names a pin that no board has
	ReasonPinMode          // the value of a pin is none of the three
	ReasonPinDuty          // the duty cycle does not fit a byte
	ReasonNoPin            // board.ErrNoPin, found when applied
	ReasonNoPWM            // board.ErrNoPWM, found when applied
	ReasonPinFailed        // another error of the board, found when applied
	ReasonLEDState         // the value of the LED is neither of the two
	ReasonNoLED            // the board has no LED, found when applied
	ReasonKey              // the key is misspelled; Entry is the nearest one
	ReasonBinary           // the value is in binaryData
	numReasons      = iota
)

var reasonTexts = [numReasons]string{
	ReasonNone:      "no reason",
	ReasonAddress:   "address out of range 0-1023",
	ReasonValue:     "value out of range 0-255",
	ReasonNumber:    "not a number, want decimal or 0x hexadecimal",
	ReasonNoValue:   "no value, want address=value",
	ReasonTooLong:   "entry too long, want at most 24 bytes",
	ReasonPinNumber: "no such key, want pin_0 to pin_31",
	ReasonPinMode:   "unknown pin mode, want HIGH, LOW or PWM:0-255",
	ReasonPinDuty:   "duty cycle out of range, want PWM:0-255",
	ReasonNoPin:     "the board has no such pin",
	ReasonNoPWM:     "the pin cannot do PWM, want HIGH or LOW",
	ReasonPinFailed: "the board could not set the pin",
	ReasonLEDState:  "unknown LED state, want HIGH or LOW",
	ReasonNoLED:     "the board has no LED",
	ReasonKey:       "no such key, want ",
	ReasonBinary:    "is in binaryData, want text in data",
}

// String returns the reason as a log or an Event words it.
func (r Reason) String() string {
	if int(r) >= len(reasonTexts) {
		return reasonTexts[ReasonNone]
	}
	return reasonTexts[r]
}

// Bytes of a wrong entry that are kept.
const (
	maxRejectedKey = 32
	maxEntry       = 24 // also the longest entry that can be right
)

// MaxRejectionText is the most bytes that Rejection.AppendText appends: each
// byte of the entry as \x00 at worst, and a reason of 64.
const MaxRejectionText = maxRejectedKey + len(` "": `) + 4*maxEntry + 64

// Rejection is a wrong entry of a ConfigMap. It can be compared.
type Rejection struct {
	key      [maxRejectedKey]byte
	entry    [maxEntry]byte
	keyLen   uint8
	entryLen uint8
	Reason   Reason
}

// set fills in a zero Rejection, in its place: TinyGo copies a struct of arrays byte by
// byte, in 0.6 KB of flash.
func (r *Rejection) set(key, entry []byte, why Reason) {
	r.Reason = why
	r.keyLen = uint8(copy(r.key[:], cut(key, maxRejectedKey)))
	r.entryLen = uint8(copy(r.entry[:], cut(entry, maxEntry)))
}

// Key is the key in the ConfigMap's data: memory_values, led, pin_ and digits, or a
// misspelled one of these, cut to 32 bytes.
func (r *Rejection) Key() []byte { return r.key[:r.keyLen] }

// Entry is the wrong part of the value, without white space around it, cut to
// 24 bytes. Where the key itself is wrong it is the nearest one, or empty.
func (r *Rejection) Entry() []byte { return r.entry[:r.entryLen] }

// AppendText appends the rejection as a line for people, in printable
// characters whatever the ConfigMap held: memory_values "1024=1": address out
// of range 0-1023.
func (r *Rejection) AppendText(b []byte) []byte {
	b = append(b, r.Key()...)
	misspelled := r.Reason == ReasonKey
	if r.entryLen > 0 && !misspelled {
		b = quote.Append(append(b, ' '), r.Entry())
	}
	b = append(b, ": "...)
	b = append(b, r.Reason.String()...)
	if misspelled {
		b = append(b, r.Entry()...)
	}
	return b
}

// hash adds the rejection to h.
func (r *Rejection) hash(h fnv) fnv {
	return h.bytes(r.key[:]).bytes(r.entry[:]).byte(r.keyLen).byte(r.entryLen).byte(byte(r.Reason))
}

// cut returns at most n bytes of p and no part of a UTF-8 sequence at the end.
func cut(p []byte, n int) []byte {
	p = p[:min(n, len(p))]
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(p); r != utf8.RuneError || size != 1 {
			break
		}
		p = p[:len(p)-1]
	}
	return p
}
