// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
)

// stored is the time after which what is in force is stored as well, with a margin:
// a board writes its flash once in 10 s at most.
const stored = 11 * time.Second

// A ConfigMap moves the LED and a pin; after a power cut the board is as it was
// before it has joined the Wi-Fi.
func TestPicoWFollowsItsConfigMap(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("pico-config")
	b := readyPico(t, p, picoOptions{settings: p.readsPicoConfig(t, name)})
	if s := b.State(); s.LED || s.Pins[15].Level != emulator.Floating {
		t.Errorf("before there is a ConfigMap: LED %v, pin 15 %v", s.LED, s.Pins[15])
	}
	p.setConfig(t, name, data{"led": "HIGH", "pin_15": "HIGH", "pin_16": "PWM:64"})
	b.waitOutputs(t, true, emulator.High)
	if duty := b.Pin(16).Duty; math.Abs(duty-64./255) > 0.005 {
		t.Errorf("pin 16 is high %.3f of the time, want 64/255", duty)
	}
	p.setConfig(t, name, data{"led": "LOW", "pin_15": "LOW"})
	b.waitOutputs(t, false, emulator.Low)
	p.setConfig(t, name, data{"led": "HIGH", "pin_15": "HIGH"})
	b.waitOutputs(t, true, emulator.High)
	must(t, b.Sleep(t.Context(), stored))

	must(t, b.PowerCut(t.Context(), emulator.Cut{}))
	must(t, b.PowerOn(t.Context()))
	must(t, b.Wait(t.Context(), 5*time.Second, "the last configuration, before the Wi-Fi is joined", func(s emulator.State) bool {
		return !s.Joined && s.LED && s.Pins[15].Level == emulator.High && s.Pins[16].Level == emulator.PWM
	}))
	b.say(t, "Node registered", 10*time.Second)
}

// waitOutputs waits until the LED and pin 15 are as they should be.
func (b *picoW) waitOutputs(t *testing.T, led bool, level emulator.Level) {
	t.Helper()
	what := fmt.Sprintf("LED %v and pin 15 %v", led, level)
	must(t, b.Wait(t.Context(), time.Minute, what, func(s emulator.State) bool {
		return s.LED == led && s.Pins[15].Level == level
	}))
}

// The power fails at each operation on flash with which a new configuration is
// stored: the board boots with the old one or with the new one.
func TestPicoWKeepsAConfigurationOverPowerCuts(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("pico-cuts")
	c := &configCuts{picoW: readyPico(t, p, picoOptions{settings: p.readsPicoConfig(t, name)}), name: name}
	most := 0
	for range 4 { // by then a sector was erased
		before := c.operations(t)
		c.change(t)
		most = max(most, c.operations(t)-before)
	}
	if most < 3 {
		t.Fatalf("storing a configuration takes %d operations on flash", most)
	}
	t.Logf("storing a configuration takes up to %d operations on flash", most)
	for operation := 1; operation <= most; operation++ {
		for _, phase := range []emulator.Phase{emulator.During, emulator.After} { // after one is before the next
			must(t, c.PowerCut(t.Context(), emulator.Cut{Operation: operation, Phase: phase, Seed: int32(operation)}))
			for c.change(t) {
			}
			must(t, c.PowerOn(t.Context()))
			must(t, c.Wait(t.Context(), 5*time.Second, fmt.Sprintf("the old or the new configuration after a cut %s operation %d", phase, operation),
				func(s emulator.State) bool { return !s.Joined && (c.isDuty(s, c.duty-1) || c.isDuty(s, c.duty)) }))
			c.change(t) // else the next cut could hit what is still to be stored of this one
		}
	}
	c.change(t)
	c.checkDriver(t)
}

// configCuts is a board whose configuration is changed while its power fails.
type configCuts struct {
	*picoW
	name string
	duty int // that the ConfigMap asks of pin 15 now; before, it was one less
}

// change changes the ConfigMap and waits until it is in force and stored. It
// reports whether the board still runs.
func (c *configCuts) change(t *testing.T) bool {
	t.Helper()
	c.duty++
	c.plane.setConfig(t, c.name, data{"pin_15": fmt.Sprintf("PWM:%d", c.duty)})
	must(t, c.Wait(t.Context(), time.Minute, fmt.Sprintf("PWM:%d at pin 15", c.duty), func(s emulator.State) bool {
		return s.Halt != "" || c.isDuty(s, c.duty)
	}))
	err := c.Sleep(t.Context(), stored)
	if _, halted := errors.AsType[*emulator.HaltError](err); halted {
		return false
	}
	must(t, err)
	return true
}

func (c *configCuts) isDuty(s emulator.State, n int) bool {
	return s.Pins[15].Level == emulator.PWM && math.Abs(s.Pins[15].Duty-float64(n)/255) < 0.002
}

func (c *configCuts) operations(t *testing.T) int {
	t.Helper()
	stats, err := c.Stats(t.Context())
	must(t, err)
	return stats.FlashOperations
}
