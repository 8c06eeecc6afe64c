// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

package main

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/network"
	"github.com/picolet/picolet/firmware/wifi"
	"github.com/picolet/picolet/settings"
)

// multicast is what the Wi-Fi chip listens to beside its own address.
var multicast = [][6]byte{network.MulticastMAC, network.AllHostsMAC}

// chipless is how often the kubelet is ticked while the Wi-Fi chip has not started:
// nothing but its pins can change then.
const chipless = 100 * time.Millisecond

// way is the board's way to its gateway: the Wi-Fi chip, and the network over it.
type way struct {
	settings settings.Settings
	seed     uint64
	chip     *wifi.Chip
	net      *network.Network // nil before the chip has told its address
	joined   bool             // as the network was told
	frame    [network.MaxFrame]byte
}

// receive takes a frame from the chip.
func receive(frame []byte) {
	if uplink.net != nil {
		before := enter(phaseNetwork)
		uplink.net.Receive(clock(), frame)
		enter(before)
	}
}

// poll drives the network and the kubelet, sends what they have to say, and returns when
// they want to be called again.
func (w *way) poll() (wake time.Duration, err error) {
	if w.net == nil {
		if w.chip.MAC() == [6]byte{} {
			driven.Tick(clock())
			return clock() + chipless, nil
		}
		if err := w.open(); err != nil {
			return 0, err
		}
	}
	w.tellLink()
	for {
		wake = w.net.Poll(clock())
		n := w.net.Next(clock(), w.frame[:])
		if n == 0 {
			return wake, nil
		}
		before := enter(phaseWifi)
		w.chip.Send(w.frame[:n])
		enter(before)
	}
}

// open makes the network, once the chip has told the board's address.
func (w *way) open() (err error) {
	w.net, err = network.New(network.Config{
		Kubelet: driven, NoPort: encrypted(), MAC: w.chip.MAC(), Hostname: w.settings.NodeName, Gateway: w.settings.Gateway, Seed: w.seed,
	})
	return err
}

// tellLink tells the network whether the board is in its Wi-Fi network.
func (w *way) tellLink() {
	switch joined := w.chip.Joined(); {
	case joined == w.joined:
		return
	case joined:
		w.net.LinkUp(clock())
	default:
		w.net.LinkDown(clock())
	}
	w.joined = !w.joined
}

// readNetwork tells of the Wi-Fi network while that is missing, and of what lies behind
// it once it is joined.
func (w *way) readNetwork(now time.Duration, r *board.NetworkReadings) {
	w.chip.ReadNetwork(now, r)
	if w.net == nil {
		return
	}
	wifi := *r
	w.net.ReadNetwork(now, r)
	if !w.joined {
		r.State, r.Since = wifi.State, wifi.Since
	}
	for s := board.NetworkOff; s <= board.NetworkWrongPassphrase; s++ {
		r.Begun[s] = wifi.Begun[s]
	}
}

// The parts of uplink that the kubelet sees are types without fields. TinyGo
// describes each type whose value is in an interface, with all types in it and their
// methods: of the network stack's, String brings package fmt.
type (
	reach struct{}
	led   struct{}
)

var (
	_ board.Network = reach{}
	_ board.LED     = led{}
)

func (reach) ReadNetwork(now time.Duration, r *board.NetworkReadings) { uplink.readNetwork(now, r) }
func (led) SetLED(on bool)                                            { uplink.chip.SetLED(on) }
func (led) LED() bool                                                 { return uplink.chip.LED() }
