// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/logring"
)

// applyConfig puts what a ConfigMap asks for in force, reports it and stores it. One
// that asks for the same as before, after a change of its annotations, another list
// or a poll, has nothing done: what a command has set since stays.
func (k *Kubelet) applyConfig(now time.Duration, w *watcher) {
	s := &w.staged
	digest := s.Digest() // before the board rejects any of it
	if digest == w.digest {
		k.applied.Observe(s)
		return
	}
	w.digest = digest
	k.drivePins(s)
	k.driveLED(s)
	if !k.applied.Apply(s) {
		return
	}
	k.configsApplied++
	k.entriesRejected += uint32(s.Rejected)
	k.logWatch(now, logring.Info, "ConfigMap applied", w).
		Int("entries", int64(s.Entries)).Int("rejected", int64(s.Rejected)).Int("ignored", int64(s.Ignored)).End()
	if s.Rejected > 0 {
		k.tellRejections(now, w)
	}
	k.addAppliedEvent(now, w)
	k.storing.due = true
}

// drivePins sets the pins whose value in a ConfigMap has changed, and takes back
// those that the board does not have.
func (k *Kubelet) drivePins(s *configmap.Staged) {
	for n := range configmap.MaxPins {
		state, ok := s.Pin(n)
		if !ok || state == k.applied.Pins[n] {
			continue
		}
		if err := k.setPin(n, state); err != nil {
			s.RejectPin(n, rejectionOf(err))
		}
	}
}

// driveLED sets the LED if its value in a ConfigMap has changed.
func (k *Kubelet) driveLED(s *configmap.Staged) {
	on, ok := s.LED()
	if !ok || k.applied.LED == ledMode(on) {
		return
	}
	if !k.setLED(on) {
		s.RejectLED(configmap.ReasonNoLED)
	}
}

func ledMode(on bool) board.PinMode {
	if on {
		return board.PinHigh
	}
	return board.PinLow
}

func rejectionOf(err error) configmap.Reason {
	switch err {
	case board.ErrNoPin:
		return configmap.ReasonNoPin
	case board.ErrNoPWM:
		return configmap.ReasonNoPWM
	}
	return configmap.ReasonPinFailed
}

// setPin drives a pin of the board, if it has any.
func (k *Kubelet) setPin(n int, state board.PinState) error {
	pins := k.config.Board.Pins
	if pins == nil || n >= pins.Count() {
		return board.ErrNoPin
	}
	return pins.SetPin(n, state)
}

// setLED sets the LED, once it no longer blinks. It reports whether there is one.
func (k *Kubelet) setLED(on bool) bool {
	led := k.config.Board.LED
	switch {
	case led == nil:
		return false
	case k.blinking.left > 0:
		k.blinking.after = on
	default:
		led.SetLED(on)
	}
	return true
}

func (k *Kubelet) addAppliedEvent(now time.Duration, w *watcher) {
	k.events.add("ConfigApplied", false, k.clock.Micros(now)).
		text(w.name.Namespace).text("/").text(w.name.Name).text(": ").
		int(int64(w.staged.Entries)).text(" entries applied, ").
		int(int64(w.staged.Rejected)).text(" rejected")
}

// tellRejections logs the first wrong entries and shows one in an Event.
func (k *Kubelet) tellRejections(now time.Duration, w *watcher) {
	list := w.staged.Rejections()
	for i := range list {
		k.logWatch(now, logring.Warn, "ConfigMap entry is skipped", w).
			Bytes("entry", list[i].AppendText(k.text[:0])).End()
	}
	e := k.events.add("ConfigRejected", true, k.clock.Micros(now)).
		text(w.name.Namespace).text("/").text(w.name.Name).text(": skipped ").
		bytes(list[0].AppendText(k.text[:0]))
	if more := w.staged.Rejected - 1; more > 0 {
		e.text("; skipped ").int(int64(more)).text(" more, see the board's log")
	}
}
