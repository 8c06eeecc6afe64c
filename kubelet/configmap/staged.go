// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap

import "github.com/picolet/picolet/board"

// Sizes of what a board takes from its ConfigMaps.
const (
	RegionSize = 1024 // bytes in the memory region, addresses 0-1023
	MaxPins    = 32   // pins that a ConfigMap can name, 0-31
)

// maxRejections is how many rejections a Staged keeps; the rest is counted.
const maxRejections = 4

// Staged is what one ConfigMap asks for. A Decoder fills it; it is applied as
// a whole, by Config.Apply, after the object was read to its end.
type Staged struct {
	memory  [RegionSize]byte // 0 where not written
	written [RegionSize / 8]byte
	pins    [MaxPins]board.PinState // zero where not set
	pinSet  uint32
	led     board.PinMode // PinFloating where not set

	source          uint64 // sourceOf the ConfigMap
	resourceVersion uint64 // 0: not known

	Entries  int // accepted addresses, pins and the LED
	Rejected int // wrong entries, skipped
	Ignored  int // keys that mean nothing to a board

	rejections [maxRejections]Rejection

	// What is rejected, kept out of the heap.
	key   [len(memoryKey)]byte
	value [len("PWM:255")]byte
}

// Reset makes s ask for nothing.
func (s *Staged) Reset() { *s = Staged{} }

// Byte returns the value that s asks for at addr; ok is false if it asks for
// none.
func (s *Staged) Byte(addr int) (v byte, ok bool) {
	if addr < 0 || addr >= RegionSize || s.written[addr/8]&(1<<(addr%8)) == 0 {
		return 0, false
	}
	return s.memory[addr], true
}

// Pin returns the state that s asks for pin n; ok is false if it asks for
// none.
func (s *Staged) Pin(n int) (state board.PinState, ok bool) {
	if n < 0 || n >= MaxPins || s.pinSet&(1<<n) == 0 {
		return board.PinState{}, false
	}
	return s.pins[n], true
}

// Rejections returns the first wrong entries, at most 4 of Rejected. They are
// valid until s changes.
func (s *Staged) Rejections() []Rejection {
	return s.rejections[:min(s.Rejected, maxRejections)]
}

// RejectPin takes back what s asks for pin n, because the board cannot do it.
// It does nothing if s does not name the pin.
func (s *Staged) RejectPin(n int, why Reason) {
	state, ok := s.Pin(n)
	if !ok {
		return
	}
	s.reject(appendPinKey(s.key[:0], n), state.AppendText(s.value[:0]), why)
	s.pins[n] = board.PinState{}
	s.pinSet &^= 1 << n
	s.Entries--
}

// LED returns whether s asks for light; ok is false if it does not name the LED.
func (s *Staged) LED() (on, ok bool) { return s.led == board.PinHigh, s.led != board.PinFloating }

// RejectLED takes back what s asks for the LED, because the board has none. It
// does nothing if s does not name the LED.
func (s *Staged) RejectLED(why Reason) {
	if s.led == board.PinFloating {
		return
	}
	state := board.PinState{Mode: s.led}
	s.reject(append(s.key[:0], ledKey...), state.AppendText(s.value[:0]), why)
	s.led = board.PinFloating
	s.Entries--
}

// Digest is a 64-bit hash of all that s asks for, its wrong entries included:
// if two differ, there is something to do or to tell.
func (s *Staged) Digest() uint64 {
	h := newFNV().bytes(s.memory[:]).bytes(s.written[:]).uint(uint64(s.pinSet))
	for _, p := range &s.pins {
		h = h.byte(byte(p.Mode)).byte(p.Duty)
	}
	if s.led != board.PinFloating { // else the digest is as before there was this key
		h = h.byte(byte(s.led))
	}
	h = h.uint(uint64(s.Rejected))
	for i := range s.Rejections() {
		h = s.rejections[i].hash(h)
	}
	return uint64(h)
}

// ResourceVersion is that of the ConfigMap, 0 if it is not a decimal number.
func (s *Staged) ResourceVersion() uint64 { return s.resourceVersion }

// setByte takes an accepted entry of memory_values; addr is in range.
func (s *Staged) setByte(addr int, v byte) {
	s.memory[addr] = v
	s.written[addr/8] |= 1 << (addr % 8)
	s.Entries++
}

// setPin takes an accepted pin; n is in range.
func (s *Staged) setPin(n int, state board.PinState) {
	s.pins[n] = state
	s.pinSet |= 1 << n
	s.Entries++
}

// setLED takes the accepted state of the LED, PinLow or PinHigh.
func (s *Staged) setLED(mode board.PinMode) {
	s.led = mode
	s.Entries++
}

// reject counts a wrong entry and keeps it if it is among the first.
func (s *Staged) reject(key, entry []byte, why Reason) {
	if s.Rejected < maxRejections {
		s.rejections[s.Rejected].set(key, entry, why)
	}
	s.Rejected++
}
