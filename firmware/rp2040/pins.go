// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package rp2040

import (
	"device/rp"
	"machine"
	"runtime/volatile"
	"unsafe"

	"github.com/picolet/picolet/board"
)

// Pins are the GPIOs that a Pico W leads out: 0 to 22 and 26 to 28. What they do is
// read from the chip, so a pin that nobody set is as the chip's reset, or whoever
// uses it, left it. GPIO 0 and 1 are the console until they are set.
//
// Between low and high a pin has no pulse, nor when it is set to what it is. A duty
// cycle takes effect when the period ends, within a millisecond.
type Pins struct{}

var (
	_ board.Pins   = Pins{}
	_ board.Analog = Pins{}
)

// Count returns 29: the highest pin is GPIO 28.
func (Pins) Count() int { return numPins }

// SetPin drives a pin. A floating pin is as after a reset: weakly pulled down. The
// two pins of a PWM slice each have a duty cycle of their own at 1 kHz; the error is
// ErrChannelTaken if the pin 16 places away does PWM.
func (p Pins) SetPin(pin int, s board.PinState) error {
	now, err := p.Pin(pin)
	if err != nil || now == s {
		return err
	}
	switch s.Mode {
	case board.PinLow, board.PinHigh:
		drive(pin, s.Mode == board.PinHigh)
	case board.PinPWM:
		if other := twin(pin); other >= 0 && function(other) == functionPWM {
			return ErrChannelTaken
		}
		pulse(pin, s.Duty)
	default:
		release(pin)
	}
	if now.Mode == board.PinPWM && s.Mode != board.PinPWM {
		stopIdleSlice(pin)
	}
	return nil
}

// Pin tells how the pin is driven.
func (Pins) Pin(pin int) (board.PinState, error) {
	if !hasPin(pin) {
		return board.PinState{}, board.ErrNoPin
	}
	bit := uint32(1) << pin
	switch {
	case function(pin) == functionPWM:
		return board.PinState{Mode: board.PinPWM, Duty: dutyOf(slice(pin).level(channelBOf(pin)))}, nil
	case function(pin) != functionSIO || !rp.SIO.GPIO_OE.HasBits(bit):
		return board.PinState{}, nil
	case rp.SIO.GPIO_OUT.HasBits(bit):
		return board.PinState{Mode: board.PinHigh}, nil
	}
	return board.PinState{Mode: board.PinLow}, nil
}

// Millivolts reads the voltage at GPIO 26, 27 or 28, in about 2 µs. A pin that
// nothing drives loses its pull-down and its digital input for it (4.9.2.1). The
// error is board.ErrNoPin for other pins, ErrADC if the converter does not answer.
func (p Pins) Millivolts(pin int) (uint16, error) {
	channel, err := adcChannel(pin)
	if err != nil {
		return 0, err
	}
	if s, _ := p.Pin(pin); s.Mode == board.PinFloating {
		pad(pin).Set(0)
	}
	reading, ok := sample(channel)
	if !ok {
		return 0, ErrADC
	}
	return millivolts(reading), nil
}

// Functions of a pin (2.19.2).
const (
	functionPWM  = rp.IO_BANK0_GPIO0_CTRL_FUNCSEL_pwm_a_0
	functionSIO  = rp.IO_BANK0_GPIO0_CTRL_FUNCSEL_sio_0
	functionNone = rp.IO_BANK0_GPIO0_CTRL_FUNCSEL_null
)

// padReset is what a reset leaves in a pad's register (2.19.6.3): pulled down,
// 4 mA, Schmitt trigger, input enabled.
const padReset = rp.PADS_BANK0_GPIO0_IE | 1<<rp.PADS_BANK0_GPIO0_DRIVE_Pos | rp.PADS_BANK0_GPIO0_PDE | rp.PADS_BANK0_GPIO0_SCHMITT_Msk

// control is the register that selects a pin's function: they lie 8 bytes apart.
func control(pin int) *volatile.Register32 {
	return (*volatile.Register32)(unsafe.Add(unsafe.Pointer(&rp.IO_BANK0.GPIO0_CTRL), 8*pin))
}

// pad is the register of a pin's electrical settings: they lie 4 bytes apart.
func pad(pin int) *volatile.Register32 {
	return (*volatile.Register32)(unsafe.Add(unsafe.Pointer(&rp.PADS_BANK0.GPIO0), 4*pin))
}

func function(pin int) uint32 { return control(pin).Get() & rp.IO_BANK0_GPIO0_CTRL_FUNCSEL_Msk }

// drive makes the pin an output. The level is there before the output is.
func drive(pin int, high bool) {
	bit := uint32(1) << pin
	if high {
		rp.SIO.GPIO_OUT_SET.Set(bit)
	} else {
		rp.SIO.GPIO_OUT_CLR.Set(bit)
	}
	rp.SIO.GPIO_OE_SET.Set(bit)
	connect(pin, functionSIO)
}

// release puts the pin into its state after a reset.
func release(pin int) {
	connect(pin, functionNone)
	rp.SIO.GPIO_OE_CLR.Set(1 << pin)
}

func connect(pin int, function uint32) {
	pad(pin).Set(padReset)
	control(pin).Set(function)
}

// pulse makes the pin a PWM output.
func pulse(pin int, duty uint8) {
	s := slice(pin)
	s.setLevel(channelBOf(pin), levelOf(duty))
	if !s.csr.HasBits(rp.PWM_CH0_CSR_EN) {
		s.div.Set(pwmDivider(machine.CPUFrequency()))
		s.top.Set(pwmTop)
		s.csr.Set(rp.PWM_CH0_CSR_EN)
	}
	if function(pin) != functionPWM {
		connect(pin, functionPWM)
	}
}

// stopIdleSlice stops the slice of a pin once no pin uses it.
func stopIdleSlice(pin int) {
	for other := range numPins {
		if sliceOf(other) == sliceOf(pin) && function(other) == functionPWM {
			return
		}
	}
	slice(pin).csr.Set(0)
}

// pwmSlice is the registers of one slice.
type pwmSlice struct{ csr, div, ctr, cc, top volatile.Register32 }

// slice returns the slice of a pin.
func slice(pin int) *pwmSlice {
	return (*pwmSlice)(unsafe.Add(unsafe.Pointer(&rp.PWM.CH0_CSR), sliceOf(pin)*int(unsafe.Sizeof(pwmSlice{}))))
}

// level returns a channel's compare value.
func (s *pwmSlice) level(b bool) uint32 {
	if b {
		return s.cc.Get() >> rp.PWM_CH0_CC_B_Pos
	}
	return s.cc.Get() & rp.PWM_CH0_CC_A_Msk
}

// setLevel sets a channel's compare value; a running slice takes it at the end of
// its period (4.5.2.3).
func (s *pwmSlice) setLevel(b bool, level uint32) {
	if b {
		s.cc.ReplaceBits(level, 0xffff, rp.PWM_CH0_CC_B_Pos)
	} else {
		s.cc.ReplaceBits(level, 0xffff, rp.PWM_CH0_CC_A_Pos)
	}
}
