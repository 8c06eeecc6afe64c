// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp2040

// Command core is the portable kubelet alone: on a Pico, with no hardware but
// its LED, no network, no settings and no storage. It shows that the core is
// fit for the board and what it costs there in flash and RAM.
//
// All its streams share the serial port, as pairs of bytes: the number of the
// stream, then a byte of it.
package main

import (
	"machine"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// config names no real node: nobody configures this image.
var config = kubelet.Config{
	NodeName: "pico-core",
	Host:     "kubernetes.default.svc",
	Version:  "v1.37.2",
	Seed:     1,
	Board: board.Board{
		Facts:   board.Facts{Model: "rp2040", ID: "core"},
		Sensors: sensors{},
		LED:     led{},
	},
}

// node is a variable of the package, so that its size is known when linking.
var node kubelet.Kubelet

func main() {
	if err := node.Configure(config); err != nil {
		println("Configuration refused:", err.Error())
		return
	}
	boot := time.Now()
	node.Start(0)
	for {
		receive(time.Since(boot))
		node.Tick(time.Since(boot))
		wake := obey(time.Since(boot), node.Output())
		time.Sleep(min(wake-time.Since(boot), time.Millisecond))
	}
}

// receive gives the kubelet what came in through the serial port.
func receive(now time.Duration) {
	for machine.Serial.Buffered() >= 2 {
		stream, _ := machine.Serial.ReadByte()
		b, _ := machine.Serial.ReadByte()
		s := kubelet.Stream(stream)
		if b == 0 && s == kubelet.StreamServed {
			node.Accept(now) // a client connects with a byte that HTTP has not
			continue
		}
		if node.Receive(now, s, []byte{b}) == 0 {
			node.Closed(now, s, nil)
		}
	}
}

// obey does what the kubelet asks for and returns when it wants to wake.
func obey(now time.Duration, out kubelet.Output) time.Duration {
	for s := range kubelet.Stream(kubelet.NumStreams) {
		if out.Dial.Has(s) {
			node.Opened(now, s)
		}
		if out.Send.Has(s) {
			for _, b := range node.Pending(s) {
				_ = machine.Serial.WriteByte(byte(s))
				_ = machine.Serial.WriteByte(b)
			}
			node.Sent(now, s, len(node.Pending(s)))
		}
	}
	if out.Reset {
		machine.CPUReset()
	}
	return out.Wake
}

// sensors reads nothing.
type sensors struct{}

func (sensors) Read(time.Duration, *board.Readings) {}

// led is the light on the board.
type led struct{}

func (led) SetLED(on bool) {
	machine.LED.Configure(machine.PinConfig{Mode: machine.PinOutput})
	machine.LED.Set(on)
}

func (led) LED() bool { return machine.LED.Get() }
